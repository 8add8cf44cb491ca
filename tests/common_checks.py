"""Checks that every registered family passes, for any target, grid and budget."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch

from lolora_core import FAMILIES, Decomposition, Grid, budget_for_rank, decompose
from lolora_core.common.checks import compute_dtype
from lolora_core.families import REFERENCE

#: (m, n), (K_r, K_c): square, tall, wide, not divided by the grid, rectangular grid, 1-row blocks.
CASES: list[tuple[tuple[int, int], tuple[int, int]]] = [
    ((24, 24), (4, 4)),
    ((40, 16), (4, 4)),
    ((16, 40), (4, 4)),
    ((23, 19), (4, 4)),
    ((31, 18), (3, 5)),
    ((12, 30), (12, 3)),
    ((9, 9), (9, 9)),
    ((1, 7), (1, 1)),
    ((5, 1), (2, 1)),
]

RANKS = (0, 1, 2, 3, 5, 8, 13, 50)


def random_target(shape: tuple[int, int], dtype: torch.dtype, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def families_on(grid: Grid) -> list[str]:
    return [name for name, family in FAMILIES.items() if family.fits(grid)]


def tolerance(dtype: torch.dtype) -> float:
    """1e-5 is the contract; in float64 a thousand roundings of a 50-vector are far below 1e-10."""
    return 1e-10 if dtype == torch.float64 else 1e-5


def check_error_is_that_of_dense(svd: Decomposition, family: str, rank: int) -> None:
    a = svd.approximate(family, budget=budget_for_rank(svd.grid.shape, rank))
    w = svd.target.double()
    # Before rounding to a half-precision dtype, as the contract says.
    dense = a.dense() if svd.target.dtype == compute_dtype(svd.target.dtype) else a._dense()
    measured = float((w - dense.double()).norm() / w.norm())
    assert abs(measured - a.relative_error) <= tolerance(svd.target.dtype)


def check_dense_has_dtype_and_shape_of_target(svd: Decomposition, family: str, rank: int) -> None:
    dense = svd.approximate(family, budget=budget_for_rank(svd.grid.shape, rank)).dense()
    assert dense.shape == svd.target.shape
    assert dense.dtype == svd.target.dtype
    assert dense.device == svd.target.device


def check_budget_is_kept_and_accounted_for(svd: Decomposition, family: str, rank: int) -> None:
    budget = budget_for_rank(svd.grid.shape, rank)
    a = svd.approximate(family, budget=budget)
    assert 0 <= a.num_parameters <= budget
    assert a.unused_parameters == budget - a.num_parameters
    pair = a.global_factors()
    pairs = [*a.factors().values(), *([] if pair is None else [pair])]
    held = sum(b.numel() + right.numel() for b, right in pairs)
    assert held == a.num_parameters
    assert (a.rank_map >= 0).all()
    assert (a.rank_map <= a.grid.max_ranks).all()


def check_block_errors_add_up(svd: Decomposition, family: str, rank: int) -> None:
    a = svd.approximate(family, budget=budget_for_rank(svd.grid.shape, rank))
    for grid in (svd.grid, a.grid):
        errors = a.block_errors(grid)
        assert errors.shape == grid.blocks
        squared = float((errors**2).sum())
        assert abs(np.sqrt(squared) - a.relative_error) <= tolerance(svd.target.dtype)


def check_factors_multiply_to_dense(svd: Decomposition, family: str, rank: int) -> None:
    a = svd.approximate(family, budget=budget_for_rank(svd.grid.shape, rank))
    built = torch.zeros(a.shape, dtype=compute_dtype(a.dtype))
    for (i, j), (b, right) in a.factors().items():
        assert b.shape[1] == right.shape[0] == a.rank_map[i, j]
        built[a.grid.block(i, j)] = b @ right
    pair = a.global_factors()
    if pair is not None:
        assert pair[0].shape[1] == pair[1].shape[0] == a.global_rank
        built += pair[0] @ pair[1]
    scale = float(svd.target.double().norm())
    assert float((built - a._dense()).norm()) <= tolerance(svd.target.dtype) * scale


def check_error_never_rises_with_the_budget(svd: Decomposition, family: str, rank: int) -> None:
    step = max(1, sum(svd.grid.shape) // 3)
    budgets = range(0, budget_for_rank(svd.grid.shape, rank) + step, step)
    errors = svd.errors(family, budgets)
    assert (np.diff(errors) <= 1e-12).all()
    assert errors[0] == 1.0


def check_one_block_is_global(svd: Decomposition, family: str, rank: int) -> None:
    budget = budget_for_rank(svd.grid.shape, rank)
    one = svd.regrid(1)
    mine = one.approximate(family, budget=budget)
    reference = one.approximate(REFERENCE, budget=budget)
    assert mine.num_parameters == reference.num_parameters
    assert torch.equal(mine.dense(), reference.dense())
    assert mine.relative_error == reference.relative_error


def check_full_budget_is_exact(svd: Decomposition, family: str, rank: int) -> None:
    # `localized` affords full rank everywhere only where it could give the largest to every block.
    everything = int(svd.grid.max_ranks.max() * svd.grid.costs.sum())
    budget = max(everything, min(svd.grid.shape) * sum(svd.grid.shape)) + rank
    a = svd.approximate(family, budget=budget)
    assert a.unused_parameters >= rank
    reached = FAMILIES[family].reaches_zero or svd.grid.blocks == (1, 1)
    assert a.relative_error <= tolerance(svd.target.dtype) or not reached


CHECKS: list[Callable[[Decomposition, str, int], None]] = [
    check_error_is_that_of_dense,
    check_dense_has_dtype_and_shape_of_target,
    check_budget_is_kept_and_accounted_for,
    check_block_errors_add_up,
    check_factors_multiply_to_dense,
    check_error_never_rises_with_the_budget,
    check_one_block_is_global,
    check_full_budget_is_exact,
]


@lru_cache(maxsize=64)
def make(
    shape: tuple[int, int], grid: tuple[int, int], dtype: torch.dtype, device: str = "cpu"
) -> Decomposition:
    """Decomposed once for all checks; nothing in them changes it."""
    return decompose(random_target(shape, dtype).to(device), grid)


def applicable() -> list[tuple[str, tuple[int, int], tuple[int, int]]]:
    """Every family on every case that it is defined on."""
    return [
        (family, shape, grid)
        for shape, grid in CASES
        for family in families_on(Grid.regular(shape, *grid))
    ]


def case_id(family: str, shape: tuple[int, int], grid: tuple[int, int]) -> str:
    return f"{family}-{shape[0]}x{shape[1]}-on-{grid[0]}x{grid[1]}"
