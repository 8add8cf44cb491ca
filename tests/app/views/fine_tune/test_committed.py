"""What the committed experiment found, on the page before a race."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.shared import experiment
from app.shared.words import format_error, three_digits
from app.views.fine_tune import committed_words as words
from app.views.fine_tune import snippets
from lolora_core.training.experiment import findings
from tests.app.test_pages import opened, text

Found = dict[str, Any]


def page(monkeypatch: pytest.MonkeyPatch, found: Found | None, **query: Any) -> Any:
    monkeypatch.setattr(experiment, "committed", lambda: found)
    at = opened("fine_tune")
    for key, value in {"ft_task": "planted-blocks", **query}.items():
        at.query_params[key] = str(value)
    at.run()
    assert not at.exception
    return at


def test_the_result_of_the_cell_that_is_set(
    monkeypatch: pytest.MonkeyPatch, measured: Found
) -> None:
    at = page(monkeypatch, measured, ft_rank=16)
    cell = next(cell for cell in measured["results"] if cell["rank"] == 16)["methods"]
    best, other = sorted(cell, key=lambda name: cell[name]["loss_mean"])
    losses = [format_error(cell[name]["loss_mean"]) for name in (best, other)]
    said = text(at)
    assert (
        f"At r = 16, **{best}** has the lowest mean test loss of all methods with this budget, "
        f"{losses[0]} over 3 seeds; {other} follows with {losses[1]}."
    ) in said
    (row,) = (row for row in measured["comparisons"] if row["rank"] == 16)
    assert row["outcome"] == "better"
    assert "Here localized trains **better** than global: the difference" in said
    low, high = (three_digits(100 * row[end]) for end in ("low", "high"))
    assert f"is {three_digits(100 * row['mean'])} % of the frozen base's loss" in said
    assert f"95 % interval {low} to {high}." in said
    assert "nearest" not in said
    (table,) = (f.value for f in at.dataframe if "loss, last step" in f.value)
    assert set(table["method"]) == {"global", "localized", "full", "frozen"}
    assert "old data" not in table
    rows = table.set_index("method")
    for name, method in cell.items():
        mean, spread = (format_error(method[key]) for key in ("loss_mean", "loss_sd"))
        assert rows.loc[name, "test loss"] == f"{mean} ± {spread}"
        assert rows.loc[name, "stopped at"] == round(method["stopped_at"])
        assert rows.loc[name, "learning rate"] == f"{method['lr']:g}"
    assert rows.loc["frozen", "learning rate"] == "–"


def test_the_nearest_budget_and_another_grid_are_said(
    monkeypatch: pytest.MonkeyPatch, measured: Found
) -> None:
    said = text(page(monkeypatch, measured, ft_rank=6, ft_grid=2))
    assert "At r = 4, " in said
    assert words.nearest(6, 4) in said
    assert words.other_grid(4, 2) in said


def test_why_there_is_no_result(monkeypatch: pytest.MonkeyPatch, measured: Found) -> None:
    assert experiment.MISSING in text(page(monkeypatch, None))
    assert words.NOT_ASKED in text(page(monkeypatch, measured, ft_task="digits-rotated"))
    lead = {"mean": 0.01, "low": -0.02, "high": 0.04}
    task = {**measured["tasks"]["planted-blocks"], "learnable": False, "full_minus_frozen": lead}
    dropped = {**measured, "tasks": {"planted-blocks": task}, "results": [], "comparisons": []}
    said = text(page(monkeypatch, dropped))
    assert "The experiment dropped this task: training every weight is not clearly better" in said
    assert "full − frozen, is 0.0100, 95 % interval −0.0200 to 0.0400." in said


def test_what_is_copied_makes_the_table_and_the_curves(
    monkeypatch: pytest.MonkeyPatch, measured: Found
) -> None:
    monkeypatch.setattr(findings, "read_experiment", lambda: measured)
    for make, name, function in (
        (snippets.experiment_table, "table", findings.methods_table),
        (snippets.experiment_rates, "curves", findings.sensitivity),
    ):
        made: dict[str, Any] = {}
        exec(make("planted-blocks", 4), made)
        expected = function(measured, "planted-blocks", 4)
        assert len(expected) > 3
        assert made[name].equals(expected)


def test_the_committed_file_is_read_once_and_may_be_missing(
    monkeypatch: pytest.MonkeyPatch, measured: Found, tmp_path: Path
) -> None:
    monkeypatch.undo()
    experiment.committed.clear()
    file = tmp_path / "found.json"
    monkeypatch.setattr(experiment, "read_experiment", lambda: findings.read_experiment(file))
    assert experiment.committed() is None
    experiment.committed.clear()
    file.write_text(json.dumps(measured))
    assert experiment.committed() == json.loads(json.dumps(measured))
    file.unlink()
    assert experiment.committed() is not None
    experiment.committed.clear()
