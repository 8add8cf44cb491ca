"""The scoreboard against approximations of each cell; ties, exact matches, early ends."""

from __future__ import annotations

import inspect
import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lolora_core import approximate, budget_for_rank
from lolora_core.blocks.grid import Grid
from lolora_core.explore.compare import matched_step
from lolora_core.explore.scoreboard import (
    CLAIMED,
    GRIDS,
    RANKS,
    RIVALS,
    at_best_grid,
    duels,
    scoreboard,
    shares,
    winners,
)
from lolora_core.families import ranked_families
from lolora_core.targets import Target, catalogue, load

IDS = ("coins", "checkerboard", "minilm-0-query", "silero-lstm-ih", "update-vit-0-ff-in")


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return pd.concat(scoreboard(map(load, IDS)), ignore_index=True)


def tuples(frame: pd.DataFrame) -> list[Any]:
    return list(frame.itertuples())


def target(array: np.ndarray) -> Target:
    return Target("own", "own", "pattern", "", "", "", array)


def board(array: np.ndarray, grid: int, *ranks: int) -> pd.DataFrame:
    return pd.concat(scoreboard([target(array)], grids=[grid], ranks=ranks))


def test_every_number_is_that_of_the_library(rows: pd.DataFrame) -> None:
    sample = rows.sample(24, random_state=0)
    assert set(sample["target"]) == set(IDS)
    assert set(sample["family"]) == set(ranked_families())
    for row in tuples(sample):
        w = load(row.target).array
        assert row.budget == budget_for_rank(w.shape, row.rank)
        found = approximate(w, row.family, budget=row.budget, grid=row.grid)
        assert row.relative_error == pytest.approx(found.relative_error, abs=1e-5)
        assert row.num_parameters == found.num_parameters
        assert row.unused_parameters == found.unused_parameters


def test_every_cell_that_fits_is_there(rows: pd.DataFrame) -> None:
    for name in IDS:
        m, n = load(name).shape
        cells = {
            (k, r)
            for k, r in itertools.product(GRIDS, RANKS)
            if k <= min(m, n) and r * (m + n) <= m * n / 2
        }
        found = rows[rows["target"] == name]
        assert len(found) == len(cells) * len(ranked_families())
        assert set(zip(found["grid"], found["rank"], strict=True)) == cells


def test_localized_spends_all_where_the_step_divides_the_rank(rows: pd.DataFrame) -> None:
    mine = rows[rows["family"] == CLAIMED]
    for row in tuples(mine):
        step = matched_step(Grid.regular(load(row.target).shape, row.grid))
        exact = row.rank % step == 0 or row.relative_error < 1e-5
        assert row.spent == exact, row


def test_what_is_left_over_buys_nothing_more(rows: pd.DataFrame) -> None:
    inexact = rows[rows["relative_error"] > 1e-5]
    cheapest = [
        Grid.regular(load(row.target).shape, row.grid).costs.min() for row in tuples(inexact)
    ]
    assert (inexact["spent"] == (inexact["unused_parameters"] < cheapest)).all()
    assert (inexact["spent"] & (inexact["unused_parameters"] > 0)).any()


def test_a_match_is_exact_where_all_that_compete_spend_the_budget(rows: pd.DataFrame) -> None:
    for families in (None, ["global", "localized"]):
        cells = winners(rows, families).set_index(["target", "grid", "rank"])
        spent = rows if families is None else rows[rows["family"].isin(families)]
        expected = spent.groupby(["target", "grid", "rank"])["spent"].all()
        assert (cells["exact"] == expected.reindex(cells.index)).all()
    assert 0 < winners(rows)["exact"].sum() < winners(rows, ["global", "localized"])["exact"].sum()


def test_the_winner_has_the_lowest_error(rows: pd.DataFrame) -> None:
    cells = winners(rows)
    errors = cells[[f"error_{name}" for name in ranked_families()]].to_numpy()
    np.testing.assert_allclose(cells["relative_error"], errors.min(1), atol=1e-5)
    for at, row in enumerate(tuples(cells)):
        ordered = np.sort(errors[at])
        assert (row.outcome == "tie") == (ordered[1] <= row.relative_error + 1e-5)
        assert row.outcome in ("tie", row.winner)
        assert row.winner != row.runner_up
        if row.outcome != "tie" and row.relative_error > 1e-5:
            assert row.ahead == pytest.approx(ordered[1] / ordered[0])
            assert row.over_global == pytest.approx(ordered[0] / row.error_global, abs=2e-5)


def test_of_a_tie_the_first_of_the_registry_wins() -> None:
    # Two blocks of ones: every family rebuilds them.
    ones = np.kron(np.eye(2), np.ones((8, 8)))
    (row,) = tuples(winners(board(ones, 2, 2)))
    assert (row.outcome, row.winner, row.runner_up) == ("tie", "global", "diagonal")
    assert (row.ahead, row.over_global) == (1.0, 1.0)
    (alone,) = tuples(winners(board(ones, 2, 2), ["localized"]))
    assert (alone.outcome, alone.runner_up) == ("localized", None)
    assert np.isnan(alone.ahead)


def test_errors_of_0_are_infinitely_far_ahead() -> None:
    flat = np.outer(np.arange(1.0, 17), np.arange(1.0, 17))
    (row,) = tuples(winners(board(flat, 2, 1), ["diagonal", "global"]))
    assert (row.winner, row.ahead, row.over_global) == ("global", np.inf, 1.0)
    (duel,) = tuples(duels(board(flat, 2, 1), "diagonal", "global"))
    assert (duel.outcome, duel.ratio) == ("higher", np.inf)
    (back,) = tuples(duels(board(flat, 2, 1), "global", "diagonal"))
    assert (back.outcome, back.ratio) == ("lower", 0.0)


def test_duels_best_grids_and_shares(rows: pd.DataFrame) -> None:
    for rival in RIVALS:
        found = duels(rows, CLAIMED, rival)
        assert (found["rank"] % found["grid"] == 0).any()
        lower = found[found["outcome"] == "lower"]
        assert (lower[CLAIMED] < lower[rival]).all()
        best = at_best_grid(found, CLAIMED)
        assert len(best) == found.groupby(["target", "rank"]).ngroups
        least = found.groupby(["target", "rank"])[CLAIMED].min()
        np.testing.assert_array_equal(
            best.set_index(["target", "rank"])[CLAIMED].sort_index(), least.sort_index()
        )
        counted = shares(found)
        assert counted["cells"].sum() == len(found)
        assert counted.groupby("kind")["share"].sum().tolist() == pytest.approx([1.0] * 4)


def test_a_target_at_a_time_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []

    def counted(id: str) -> Target:
        loaded.append(id)
        return load(id)

    monkeypatch.setattr("lolora_core.explore.scoreboard.load", counted)
    run = scoreboard(grids=[2], ranks=[2])
    assert next(run)["target"].unique().tolist() == [catalogue()[0].id] == loaded
    run.close()
    assert inspect.getgeneratorstate(run) == inspect.GEN_CLOSED
    assert len(loaded) == 1


def test_bad_input() -> None:
    with pytest.raises(ValueError, match=r"one channel each; astronaut has 3"):
        next(scoreboard([load("astronaut", colour=True)]))
    with pytest.raises(ValueError, match="families must name one"):
        winners(board(np.eye(8), 2, 1), ["lora"])
    assert list(scoreboard([target(np.eye(2))])) == []
