"""The terms of several families at once: each grid once, small enough, and enough of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lolora_core import Decomposition, decompose
from lolora_core.explore.budget_path import budget_paths
from lolora_core.explore.path_factors import path_factors

PLENTY = {"most_cells": 10**6, "most_bytes": 10**8}


def channels(shape: tuple[int, int], grid: int, count: int = 1) -> list[Decomposition]:
    generator = torch.Generator().manual_seed(count)
    return [decompose(torch.randn(shape, generator=generator), grid=grid) for _ in range(count)]


def test_each_grid_has_as_many_terms_as_any_family_ever_takes() -> None:
    parts = channels((24, 20), 4, count=3)
    paths = budget_paths(parts, 7)
    found = path_factors(parts, paths.values(), **PLENTY)
    grid = parts[0].grid
    assert list(found.terms) == [grid.whole(), grid]
    assert found.windows.blocks == (24, 20)
    for cut, depths in found.depths.items():
        wanted = np.max([p.rank_maps.max(1) for p in paths.values() if p.grid == cut], axis=0)
        np.testing.assert_array_equal(depths, wanted)
        counts = [len(terms.scales) for terms in found.terms[cut]]
        assert counts == depths.sum(axis=(1, 2)).tolist()
        sizes = [len(terms.codes) for terms in found.terms[cut]]
        assert sizes == (depths * cut.costs).sum(axis=(1, 2)).tolist()


@pytest.mark.parametrize("parts", [1, 3, 4])
def test_windows_grow_until_cells_and_bytes_are_few_enough(parts: int) -> None:
    several = channels((48, 40), parts)
    paths = budget_paths(several, 30)
    full = path_factors(several, paths.values(), **PLENTY)
    fewer = path_factors(several, paths.values(), most_cells=700, most_bytes=10**8)
    assert max(fewer.windows.row_sizes) == 2
    assert np.prod(fewer.windows.blocks) <= 700
    smaller = path_factors(
        several, paths.values(), most_cells=10**6, most_bytes=full.nbytes * 6 // 10
    )
    assert smaller.nbytes <= full.nbytes * 6 // 10
    assert max(smaller.windows.row_sizes) == 2
    exact = path_factors(several, paths.values(), most_cells=48 * 40, most_bytes=full.nbytes)
    assert exact.windows.blocks == (48, 40)


def test_too_little_room_is_named() -> None:
    parts = channels((8, 8), 2)
    with pytest.raises(ValueError, match=r"most_cells is 3 .* the 2×2 blocks need 4 cells"):
        path_factors(parts, budget_paths(parts, 2).values(), most_cells=3, most_bytes=10**6)
