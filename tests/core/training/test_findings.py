"""What is read from the committed experiment, against what it says itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lolora_core import FAMILIES
from lolora_core.training.findings import best_trained, read_experiment, trained_duels
from lolora_core.training.reproduce import ASKED, RIVALS


def tuples(frame: pd.DataFrame) -> list[Any]:
    return list(frame.itertuples())


def test_winners_have_the_lowest_mean_test_loss() -> None:
    found = read_experiment()
    best = best_trained(found)
    assert len(best) == len(found["results"])
    for row, cell in zip(tuples(best), found["results"], strict=True):
        losses = {name: m["loss_mean"] for name, m in cell["methods"].items() if name in FAMILIES}
        assert (row.task, row.rank) == (cell["task"], cell["rank"])
        assert losses[row.winner] == min(losses.values()) == row.loss
        assert row.runner_up_loss == sorted(losses.values())[1]
        assert row.clear == (row.low > 0)
    assert set(best["clear"]) == {True, False}


@pytest.mark.parametrize("rival", RIVALS)
def test_duels_are_those_that_the_experiment_paired(rival: str) -> None:
    found = read_experiment()
    for row, cell in zip(tuples(trained_duels(found, ASKED, rival)), found["results"], strict=True):
        pair = cell["localized_minus"][rival]
        assert (row.difference, row.low, row.high) == pytest.approx(
            (pair["mean"], pair["low"], pair["high"]), rel=1e-6
        )
        word = "lower" if pair["high"] < 0 else "higher" if pair["low"] > 0 else "not clear"
        assert row.outcome == word


def test_without_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.json"):
        read_experiment(tmp_path / "none.json")
