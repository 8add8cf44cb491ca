"""The commands about two adapters and the columns of a survey."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from typer.testing import CliRunner

from lolora_core.checkpoints import COLUMN_HELP, OVERLAP_HELP, overlap
from lolora_core.commands.main import app


def run(line: str) -> Any:
    return CliRunner().invoke(app, shlex.split(line))


@pytest.fixture
def adapters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    monkeypatch.chdir(tmp_path)
    for seed, (folder, modules) in enumerate((("one", "01"), ("two", "12"))):
        torch.manual_seed(seed)
        model = nn.Sequential(*(nn.Linear(24, 24) for _ in range(3)))
        settings = LoraConfig(r=3, target_modules=list(modules), init_lora_weights=False)
        get_peft_model(model, settings).save_pretrained(folder)
    return "one", "two"


def test_overlap_prints_a_table_and_the_verdict(adapters: tuple[str, str]) -> None:
    found = overlap(*adapters)
    shown = run("overlap one two")
    assert shown.exit_code == 0, shown.output
    head, row, total, verdict = shown.stdout.splitlines()
    assert head.split()[0] == "matrix"
    assert row.split()[:4] == ["1.weight", "24×24", "3", "3"]
    assert total.startswith("all modules")
    assert f"{found.total['sum_norm']:.3g}" in total
    assert verdict == found.verdict
    assert "Only in A: 0.weight\nOnly in B: 2.weight\n" in shown.stderr


def test_overlap_as_json_is_what_the_library_says(adapters: tuple[str, str]) -> None:
    found = overlap(*adapters)
    said = json.loads(run("overlap one two --json").stdout)
    assert said["rows"] == [dict(row) for row in found.rows]
    assert (said["total"], said["verdict"]) == (found.total, found.verdict)
    assert (said["only_first"], said["only_second"]) == (["0.weight"], ["2.weight"])


@pytest.mark.parametrize(
    ("command", "columns"), [("survey", COLUMN_HELP), ("overlap", OVERLAP_HELP)]
)
def test_help_says_what_each_column_is(command: str, columns: dict[str, str]) -> None:
    words = " ".join(run(f"{command} --help").output.split())
    assert all(f"{name} {text}" in words for name, text in columns.items())


def test_survey_counts_intruders_and_dead_ranks_where_there_are_any(
    adapters: tuple[str, str], tmp_path: Path
) -> None:
    from safetensors.torch import save_file

    save_file({f"{at}.weight": torch.eye(24) for at in range(3)}, tmp_path / "base.safetensors")
    found = json.loads(run("survey base.safetensors one --intruders 4 --json").stdout)
    assert all(0 < row["intruders"] <= 4 and row["dead_ranks"] == 0 for row in found["rows"])
    table = run("survey base.safetensors one --intruders 4").stdout.splitlines()[0]
    assert "dead ranks" in table
    assert "intruders" in table
    assert "intruders" not in run("survey base.safetensors one").stdout
    without = run("survey one --intruders 4")
    assert "Note: intruders are not counted" in without.stderr
