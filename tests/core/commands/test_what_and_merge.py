"""``lolora what`` and ``lolora merge``: tables, JSON, sentences."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

import lolora_core
from lolora_core.commands.main import app


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    pair = {f"lora_unet_m.lora_{part}.weight": torch.ones(4, 4) for part in ("up", "down")}
    save_file(pair | {"lora_unet_m.alpha": torch.tensor(2.0)}, "lora.safetensors")
    save_file({"fc.weight": torch.eye(4), "fc.bias": torch.ones(4)}, "model.safetensors")
    np.save("a.npy", np.eye(3))
    return tmp_path


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, arguments)


def test_what_says_it_in_words() -> None:
    shown = run("what", "lora.safetensors", "model.safetensors", "a.npy")
    assert shown.exit_code == 0
    for said in (
        "lora.safetensors is a LoRA in kohya's format.",
        "2 factors, such as lora_unet_m.lora_down.weight",
        "model.safetensors is a whole model.",
        "a.npy is a NumPy file.",
        f"{Path('model.safetensors').stat().st_size:,} bytes in model.safetensors.",
    ):
        assert said in shown.stdout


def test_what_in_json() -> None:
    (found,) = json.loads(run("what", "lora.safetensors", "--json").stdout)
    assert (found["file"], found["kind"], found["methods"]) == (
        "lora.safetensors",
        "factors",
        ["kohya"],
    )
    assert found["tensors"][0] == {
        "role": "factors",
        "tensors": 2,
        "parameters": 32,
        "nbytes": 128,
        "dtypes": {"F32": 2},
        "shapes": {"4×4": 2},
    }
    assert found["nbytes"] == Path("lora.safetensors").stat().st_size


def test_what_is_not_there_is_a_sentence() -> None:
    shown = run("what", "none.safetensors")
    assert shown.exit_code == 2
    assert shown.stderr.startswith("Error: none.safetensors is not there")


def test_what_does_not_wait_for_torch(folder: Path) -> None:
    code = (
        "import sys; from lolora_core.commands.main import app; "
        "app(['what', 'model.safetensors'], standalone_mode=False); "
        "print('torch' in sys.modules)"
    )
    root = Path(lolora_core.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(root)},
    )
    assert done.stdout.split()[-1] == "False"


def test_merge_writes_a_model() -> None:
    save_file({"fc.weight": torch.ones(4, 4)}, "update.safetensors")
    shown = run("merge", "model.safetensors", "update.safetensors", "--output", "merged", "--json")
    assert shown.exit_code == 0
    found = json.loads(shown.stdout)
    assert (found["names"], found["rounding"]) == (["fc.weight"], 0.0)
    assert "Note: plain matrices are taken as updates" in shown.stderr
    merged = load_file("merged/model.safetensors")
    assert torch.equal(merged["fc.weight"], torch.eye(4) + 1)
    again = run("merge", "model.safetensors", "update.safetensors", "--output", "merged")
    assert again.exit_code == 2
    assert "must be new or empty; merged is not" in again.stderr
