from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lolora_core import Grid, budget_for_rank


@given(st.integers(1, 200), st.integers(1, 200), st.data())
def test_regular_is_array_split(m: int, n: int, data: st.DataObject) -> None:
    rows, cols = data.draw(st.integers(1, m)), data.draw(st.integers(1, n))
    grid = Grid.regular((m, n), rows, cols)
    assert grid.shape == (m, n)
    assert grid.blocks == (rows, cols)
    expected = [len(part) for part in np.array_split(np.arange(m), rows)]
    assert grid.row_sizes.tolist() == expected
    assert grid.costs.sum() == cols * m + rows * n
    assert len(grid.groups()) <= 4


@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_groups_hold_every_block_once(m: int, n: int, data: st.DataObject) -> None:
    inner = [
        sorted(data.draw(st.sets(st.integers(1, side - 1), max_size=5))) if side > 1 else []
        for side in (m, n)
    ]
    grid = Grid((0, *inner[0], m), (0, *inner[1], n))
    seen = np.zeros(grid.blocks, dtype=int)
    cover = np.zeros(grid.shape, dtype=int)
    for group in grid.groups():
        seen[group.rows, group.cols] += 1
        for top, left in zip(group.row_starts, group.col_starts, strict=True):
            cover[top : top + group.height, left : left + group.width] += 1
    assert (seen == 1).all()
    assert (cover == 1).all()


def test_wanted_blocks_only() -> None:
    groups = Grid.regular((6, 6), 3).groups(np.eye(3, dtype=bool))
    assert [(g.rows.tolist(), g.cols.tolist()) for g in groups] == [([0, 1, 2], [0, 1, 2])]


@pytest.mark.parametrize("rows", [0, -1, 9])
def test_grid_that_does_not_fit_is_named(rows: int) -> None:
    with pytest.raises(ValueError, match=rf"grid {rows}×2 does not fit a 8×6 matrix: .* 1 and 8"):
        Grid.regular((8, 6), rows, 2)
    with pytest.raises(ValueError, match=rf"grid 2×{rows} does not fit .* columns"):
        Grid.regular((8, 6), 2, rows)


@pytest.mark.parametrize(
    "edges", [(0,), (), (1, 4), (0, 3, 3), (0, 5, 2), (0, -1)], ids=lambda e: str(e)
)
def test_bad_edges(edges: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="row_edges must start at 0 and rise strictly"):
        Grid(edges, (0, 4))
    with pytest.raises(ValueError, match="col_edges must start at 0 and rise strictly"):
        Grid((0, 4), edges)


@pytest.mark.parametrize(
    ("grid", "problem", "match"),
    [
        (Grid.regular((4, 4), 2), ValueError, "grid is for a 4×4 matrix; the matrix is 4×6"),
        ((2, 2, 2), ValueError, r"grid must be K, \(K_r, K_c\) or a Grid"),
        ("8", TypeError, r"grid must be K, \(K_r, K_c\) or a Grid; it is '8'"),
        (2.0, TypeError, "it is 2.0"),
    ],
)
def test_resolve_refuses(grid: Any, problem: type[Exception], match: str) -> None:
    with pytest.raises((problem, TypeError), match=match):
        Grid.resolve(grid, (4, 6))


def test_budget_for_rank() -> None:
    assert budget_for_rank((384, 1536), 16) == 16 * 1920
    with pytest.raises(ValueError, match="rank must be 0 or more; it is -1"):
        budget_for_rank((4, 4), -1)
