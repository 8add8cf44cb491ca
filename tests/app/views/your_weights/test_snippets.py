"""The lines under "Copy as Python" make the numbers that the page shows; the command does too."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from streamlit.testing.v1 import AppTest
from typer.testing import CliRunner

from app.shared.words import format_error
from app.views.your_weights import accuracy, figures, pairs, snippets
from app.views.your_weights.archive import archive
from app.views.your_weights.plan import AdapterPlan
from lolora_core.commands.main import app as lolora
from tests.app.test_pages import text
from tests.app.views.your_weights.test_page import start

BLOCKS = (4, 4)


def run(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(code, names)
    return names


def lines(at: AppTest, word: str) -> dict[str, Any]:
    """Run the one snippet of the page that holds a word."""
    (code,) = [
        c.value for c in at.code if c.value.startswith("from lolora_core") and word in c.value
    ]
    return run(code)


def table(at: AppTest, column: str) -> pd.DataFrame:
    (found,) = [frame.value for frame in at.dataframe if column in frame.value]
    return found


def test_survey_curve_and_maps() -> None:
    at = start(pair="MiniLM", rank=8, rows=4, cols=4, intruders=True)
    assert not at.exception
    shown, said = table(at, "σ₁/Σσ"), text(at)
    made = lines(at, "pooled_errors")
    for heading, column in (("error", "best_error"), ("intruders", "intruders"), ("‖ΔW‖",
                            "update_norm")):  # fmt: skip
        assert shown[heading].tolist() == made["frame"][column].tolist()
    assert f"error {format_error(made['together']['global'])} over all matrices" in said
    curve = lines(at, "knee(")
    assert f"The knee is at **r = {curve['rank_at_knee']}**" in said
    assert f"from r = 1 to {curve['curve']['rank'].iloc[-1]}," in said
    marks = figures.marked(made["frame"])
    best = lines(at, "best = ")["best"]
    assert best["best_family"].tolist() == marks["mark"].tolist()
    ratio = lines(at, "ratio = ")["ratio"]
    np.testing.assert_allclose(ratio, marks["ratio"])
    won = int((ratio < 1).sum())
    assert won > 0
    assert f"Blocks do better than plain LoRA on {won} of 7 matrices" in said


@pytest.mark.parametrize(
    ("family", "spend", "dtype", "form"),
    [
        ("global", "each matrix", "float32", "PEFT"),
        ("adaptive", "shared", "bfloat16", "PEFT, truncated"),
        ("localized", "energy", "float16", "lolora_core"),
    ],
)
def test_adapter_and_accuracy(
    family: str, spend: str, dtype: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pair = pairs.bundled_pair("digits transformer")
    plan = AdapterPlan(family, BLOCKS, spend, 16, 0.9, dtype)
    made = run(snippets.adapter(pair.code, plan, form))
    file = archive(pair, plan, form)
    assert made["found"].adapters.num_parameters == sum(
        row["num_parameters"] for row in file.stored.rows
    )
    assert list(Path("adapter").iterdir())
    if form != "PEFT, truncated":
        assert made["errors"][0] == pytest.approx(file.stored.relative_error, abs=1e-6)
        right = run(snippets.accuracies(pair.code, plan, "DigitsTransformer"))["right"]
        shown = accuracy.accuracies(pair, plan, form)
        # One of 449 digits may lie between two classes.
        np.testing.assert_allclose(pd.DataFrame(right), shown, atol=0.0023)
    else:
        assert made["written"].num_parameters == file.num_parameters


def test_the_picked_matrix_is_made_again() -> None:
    pair = pairs.bundled_pair("MiniLM")
    target = pairs.update_target(pair, "encoder.layer.2.attention.self.key.weight")
    again = run(target.code)["target"]
    assert again.sha256 == target.sha256
    assert [cut.name for cut in target.cuts] == ["12 heads"]


def test_files_are_surveyed_by_lines_and_by_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOLORA_ALLOW_PATHS", "1")
    base = {"h.0.fc.weight": torch.randn(24, 16, generator=torch.Generator().manual_seed(0))}
    save_file(base, "my base.safetensors")
    save_file({name: 1.5 * w for name, w in base.items()}, "tuned.safetensors")
    pair = pairs.local_pair("my base.safetensors", "tuned.safetensors")
    made = run(snippets.survey(pair.code, 3, (4, 2)))["frame"]
    words = shlex.split(snippets.command(*(pair.paths or ("", "")), 3, (4, 2)))
    assert words[0] == "lolora"
    done = CliRunner().invoke(lolora, words[1:])
    assert done.exit_code == 0, done.output
    read = pd.read_csv("survey.csv")
    assert read["error_adaptive_4x2"].tolist() == pytest.approx(made["error_adaptive_4x2"].tolist())
    assert read["equivalent_rank"].tolist() == [3.0]
