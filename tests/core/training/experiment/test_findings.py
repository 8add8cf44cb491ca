"""What is read from the committed experiment, against what it says itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lolora_core import FAMILIES
from lolora_core.training.experiment.findings import (
    best_trained,
    compared,
    methods_table,
    read_experiment,
    retention,
    sensitivity,
    verdicts,
)
from lolora_core.training.experiment.protocol import ASKED, RIVALS
from lolora_core.training.experiment.report import document, paragraph
from lolora_core.training.significance import difference

FOUND = read_experiment()
DOCS = Path(__file__).resolve().parents[4] / "docs"


def tuples(frame: pd.DataFrame) -> list[Any]:
    return list(frame.itertuples())


def test_winners_have_the_lowest_mean_test_loss() -> None:
    best = best_trained(FOUND)
    assert len(best) == len(FOUND["results"])
    for row, cell in zip(tuples(best), FOUND["results"], strict=True):
        losses = {name: m["loss_mean"] for name, m in cell["methods"].items() if name in FAMILIES}
        assert (row.task, row.rank) == (cell["task"], cell["rank"])
        assert losses[row.winner] == min(losses.values()) == row.loss
        assert row.runner_up_loss == sorted(losses.values())[1]
        assert row.clear == (row.low > 0)
    assert set(best["clear"]) == {True, False}


@pytest.mark.parametrize("rival", RIVALS)
def test_comparisons_are_those_of_the_losses_that_are_kept(rival: str) -> None:
    found = compared(FOUND, f"{ASKED}-{rival}")
    cells = {(cell["task"], cell["rank"]): cell["methods"] for cell in FOUND["results"]}
    for row in tuples(found):
        methods = cells[row.task, row.rank]
        unit = FOUND["tasks"][row.task]["methods"]["frozen"]["loss_mean"]
        losses = [np.array(methods[name]["test_losses"]) / unit for name in (ASKED, rival)]
        again = difference(*(part.tolist() for part in losses))
        assert (row.mean, row.low, row.high) == pytest.approx(again[:3], rel=1e-5, abs=1e-12)


def test_verdicts_count_their_comparisons_and_have_an_interval() -> None:
    table = verdicts(FOUND)
    for row in tuples(table):
        counted = compared(FOUND, row.question)["outcome"].value_counts()
        for outcome in ("better", "worse", "even", "unclear"):
            assert getattr(row, outcome) == counted.get(outcome, 0)
        assert row.low <= row.mean <= row.high
    assert set(table["question"]) == {row["question"] for row in FOUND["comparisons"]}


def test_no_rate_of_the_committed_experiment_lies_at_the_edge() -> None:
    rows = [row for task in FOUND["tasks"].values() for row in task["methods"].values()]
    rows += [row for cell in FOUND["results"] for row in cell["methods"].values()]
    searched = [row for row in rows if row["validation_losses"]]
    assert len(searched) > 100
    for row in searched:
        rates = sorted(float(rate) for rate in row["validation_losses"])
        assert rates[0] < row["lr"] < rates[-1]
        assert not row["lr_at_the_edge"]


def test_the_document_and_the_readme_say_what_was_measured() -> None:
    assert (DOCS / "does-it-train-better.md").read_text(encoding="utf-8") == document(FOUND)
    assert paragraph(FOUND) in (DOCS.parent / "README.md").read_text(encoding="utf-8")


def test_tables_of_a_cell() -> None:
    cell = FOUND["results"][0]
    task, rank = cell["task"], cell["rank"]
    table = methods_table(FOUND, task, rank)
    assert set(table["method"]) == {*cell["methods"], "full", "frozen"}
    assert table["loss"].is_monotonic_increasing
    curve = sensitivity(FOUND, task, rank)
    for method, rows in curve.groupby("method"):
        used = table[table["method"] == method].iloc[0]["lr"]
        assert rows.sort_values("loss").iloc[0]["lr"] == pytest.approx(used)
    kept = retention(FOUND, task, rank)
    assert kept.groupby("method")["step"].first().eq(0).all()


def test_what_was_not_measured_is_empty_or_a_sentence() -> None:
    for read in (methods_table, sensitivity, retention):
        assert read(FOUND, "mnist", 8).empty
    with pytest.raises(ValueError, match="question must be one of localized-global, "):
        compared(FOUND, "nothing")


def test_without_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.json"):
        read_experiment(tmp_path / "none.json")
