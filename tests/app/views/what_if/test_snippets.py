"""The lines that What if offers make the numbers that it shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from app.shared.scene import Scene
from app.views.what_if import compute, snippets
from lolora_core import Grid
from lolora_core.targets import Target, load

#: Small targets, one of a single channel and one of three.
TARGETS = [load("low-rank", size=48, rank=3, noise=0.3), load("astronaut", colour=True)]


def run(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(code, names)
    return names


@pytest.fixture(params=TARGETS, ids=["one", "three"])
def scene(request: pytest.FixtureRequest) -> Scene:
    target: Target = request.param
    return Scene(target, Grid.regular(target.shape, 4, 2), "cpu")


def test_the_winner_map_and_the_best_curves(scene: Scene) -> None:
    target = scene.target
    grids = (scene.grid.whole(), Grid.regular(target.shape, 4), scene.grid)
    found = compute.swept(target, grids)
    again = run(snippets.winners(target, grids))["found"]
    pd.testing.assert_frame_equal(again.winners(), found.winners())
    best = run(snippets.best_curves(target, grids))["best"]
    shown = compute.best_curves(found, target)
    both = shown.merge(best, on=["family", "budget"], suffixes=("", "_again"))
    assert len(both) == len(shown)
    np.testing.assert_array_equal(both.relative_error, both.relative_error_again)
    np.testing.assert_array_equal(both.num_parameters, both.num_parameters_again)


def test_rows_by_columns(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    grids = tuple(Grid.regular(scene.target.shape, r, c) for r in (1, 4) for c in (1, 2))
    found = compute.swept(scene.target, grids)
    run(snippets.rectangles(scene.target, (1, 4), (1, 2), "localized", 1440))
    rows = [found.row("localized", grid.blocks, 1440) for grid in grids]
    assert capsys.readouterr().out == "".join(f"{row}\n" for row in rows)


def test_the_advice() -> None:
    target = TARGETS[0]
    grids = tuple(Grid.regular(target.shape, k) for k in (1, 4))
    found = compute.swept(target, grids)
    for aim, value in (("budget", 480), ("error", 0.25)):
        shown = compute.advice(target, found, aim, value)
        again = run(snippets.advice(target, grids, shown.goal, shown.target))["advice"]
        assert str(again) == str(shown)
        assert again.peft == shown.peft
        assert again.other_tools == pytest.approx(shown.other_tools)


def test_a_painted_map() -> None:
    target = TARGETS[0]
    grid = Grid.regular(target.shape, 2, 3)
    own = run(snippets.painted(target, grid, [[1, 0, 2], [0, 3, 1]]))["own"]
    ranks = np.array([[1, 0, 2], [0, 3, 1]])
    assert own.num_parameters == (ranks * grid.costs).sum()
    assert own.rank_map.tolist() == ranks.tolist()


def test_the_order() -> None:
    target = load("permuted-blocks", size=64, grid=4, rank=1)
    grid = Grid.regular(target.shape, 4)
    shown = compute.reordered(target, grid, 4)
    names = run(snippets.reordered(target, grid, shown.family, shown.budget))
    assert names["found"].error_after == shown.error_after < shown.error_before
    np.testing.assert_array_equal(names["found"].row_order, shown.row_order)
    after = compute.block_energies(target, grid, 4)[1]
    np.testing.assert_array_equal(names["spectra"].shares, after.shares)


def test_no_lines_where_none_make_the_target() -> None:
    target = replace(TARGETS[0], code="")
    assert snippets.winners(target, [Grid.regular(target.shape, 1)]) == ""
