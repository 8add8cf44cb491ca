"""Every family at every equivalent rank, against one approximation after another."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lolora_core import Decomposition, decompose
from lolora_core.explore.budget_path import budget_paths, path_winners
from lolora_core.explore.compare import compare
from lolora_core.families import FAMILIES


def channels(count: int, shape: tuple[int, int], grid: tuple[int, int]) -> list[Decomposition]:
    generator = torch.Generator().manual_seed(count)
    return [decompose(torch.randn(shape, generator=generator), grid=grid) for _ in range(count)]


@pytest.mark.parametrize(
    ("count", "shape", "grid"),
    [(1, (24, 24), (4, 4)), (3, (17, 24), (3, 3)), (1, (20, 30), (2, 5))],
)
def test_paths_are_what_compare_says_at_each_rank(
    count: int, shape: tuple[int, int], grid: tuple[int, int]
) -> None:
    parts = channels(count, shape, grid)
    paths = budget_paths(parts, 8)
    winners = path_winners(paths)
    assert list(paths) == [
        name for name, f in FAMILIES.items() if f.from_spectra and f.fits(parts[0].grid)
    ]
    for rank in range(9):
        found = compare(parts, rank)
        assert {n for n, won in winners.items() if won[rank]} == {
            r.family.name for r in found.winners
        }
        for name, path in paths.items():
            result = found.results[name]
            np.testing.assert_array_equal(path.rank_maps[:, rank], result.rank_maps)
            assert path.errors[rank] == pytest.approx(result.relative_error, abs=1e-12)
            assert path.num_parameters[rank] == result.num_parameters
            assert (path.rank_maps[:, rank] <= path.depths).all()


def test_a_path_ends_where_every_block_is_full() -> None:
    parts = channels(1, (12, 12), (3, 3))
    paths = budget_paths(parts, 256)
    assert {path.rank_maps.shape[1] for path in paths.values()} == {13}
    for name, path in paths.items():
        assert (path.errors[-1] < 1e-6) == FAMILIES[name].reaches_zero
        assert (path.rank_maps[:, -1] != path.rank_maps[:, 0]).any()
    assert {path.rank_maps.shape[1] for path in budget_paths(parts, 5).values()} == {6}


def test_the_zero_matrix_and_a_bad_end() -> None:
    zero = [decompose(torch.zeros(4, 4), grid=2)]
    assert all((path.errors == 0).all() for path in budget_paths(zero, 3).values())
    with pytest.raises(ValueError, match="highest must be 1 or more; it is 0"):
        budget_paths(zero, 0)
