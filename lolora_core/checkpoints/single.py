"""One matrix of an extraction: its budget, its ranks, its factors as they are stored."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, SupportsIndex

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lolora_core.adapters.config import AdapterConfig
from lolora_core.adapters.layer import BlockFactors
from lolora_core.adapters.layout import BlockLayout
from lolora_core.adapters.sets import AdapterSet, BlockTerm, make_term
from lolora_core.adapters.stored import LINEAR, Stored
from lolora_core.approximate import approximate, decompose
from lolora_core.blocks.approximation import Approximation
from lolora_core.blocks.gram import gram_spectra, normalized
from lolora_core.blocks.grid import Grid, budget_for_rank
from lolora_core.blocks.svd import OVERSAMPLING, Method
from lolora_core.checkpoints.pairs import frobenius, read_update
from lolora_core.checkpoints.rounding import pair_rounding
from lolora_core.common.checks import NonFiniteError, check_budget, reject_unfit
from lolora_core.common.threads import one_thread
from lolora_core.explore.curves import smallest_budget
from lolora_core.families import RankedFamily, resolve_family
from lolora_core.families.base import Steps
from lolora_core.files.tensors import TensorSource

__all__ = [
    "DTYPES",
    "Found",
    "Goal",
    "GridSize",
    "check_goal",
    "extract_one",
    "grid_of",
    "steps_one",
]

#: The dtypes in which factors are stored.
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

# A sketch of at most this share of the short side is several times as fast as the whole SVD.
_SKETCH_SHARE = 8

GridSize = int | tuple[int, int]


@dataclass(frozen=True)
class Goal:
    """What each matrix is to get: exactly one of budget, rank and error."""

    family: str
    grid: GridSize
    dtype: torch.dtype
    budget: int | None = None
    rank: int | None = None
    error: float | None = None

    def budget_of(self, shape: tuple[int, int]) -> int:
        """Return the parameters allowed for a matrix."""
        if self.rank is not None:
            return budget_for_rank(shape, self.rank)
        assert self.budget is not None
        return self.budget


def check_goal(
    family: str,
    budget: SupportsIndex | None,
    rank: SupportsIndex | None,
    energy: float | None,
    error: float | None,
    grid: GridSize,
    dtype: torch.dtype,
) -> Goal:
    """Return the settings of `extract_adapters` after checks."""
    resolve_family(family)
    given = {"budget": budget, "rank": rank, "energy": energy, "error": error}
    named = [name for name, value in given.items() if value is not None]
    if len(named) != 1:
        raise ValueError(
            f"give exactly one of budget, rank, energy and error; given: {', '.join(named) or '-'}"
        )
    if dtype not in DTYPES.values():
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}; it is {dtype}")
    if energy is not None:
        if not 0 < energy <= 1:
            raise ValueError(f"energy is a share of ‖ΔW‖²_F in (0, 1]; it is {energy}")
        error = math.sqrt(1 - energy)
    elif error is not None and not 0 <= error < 1:
        raise ValueError(f"error is a relative error in [0, 1); it is {error}")
    Grid.resolve(grid, (2**16, 2**16))
    return Goal(
        family,
        grid,
        dtype,
        None if budget is None else check_budget(budget),
        None if rank is None else check_budget(rank),
        error,
    )


def _method(grid: Grid, ranks: np.ndarray) -> Method:
    side = int(grid.max_ranks[ranks > 0].min(initial=2**62))
    return "randomized" if (int(ranks.max()) + OVERSAMPLING) * _SKETCH_SHARE <= side else "exact"


def _budget_for_error(update: Float[Tensor, "m n"], goal: Goal, grid: Grid) -> int:
    """Return the fewest parameters with which the error is at most the goal's."""
    assert goal.error is not None
    family = resolve_family(goal.family)
    if isinstance(family, RankedFamily):
        own = family.grid(grid)
        found = smallest_budget(family.curve(gram_spectra(normalized(update)[0], own)), goal.error)
        if found is None:
            raise ValueError(
                f"{goal.family} on the {own.label} grid does not reach a relative error of "
                f"{goal.error:.3g} at any budget"
            )
        return found
    svd, step = decompose(update, grid), int(grid.costs.min())
    low, high = 0, -(-int(grid.costs.sum() * grid.max_ranks.max()) // step)
    while low < high:
        middle = (low + high) // 2
        if svd.errors(goal.family, [middle * step])[0] <= goal.error:
            high = middle
        else:
            low = middle + 1
    return high * step


def _approximate(
    update: Float[Tensor, "m n"], goal: Goal, grid: Grid, ranks: np.ndarray | None
) -> Approximation:
    family = resolve_family(goal.family)
    own = family.grid(grid)
    if ranks is not None:
        return approximate(update, grid=own, rank_map=ranks, method=_method(own, ranks))
    shape = (update.shape[0], update.shape[1])
    limit = (
        _budget_for_error(update, goal, grid) if goal.error is not None else goal.budget_of(shape)
    )
    method: Method = "auto"
    if isinstance(family, RankedFamily) and not family.needs_spectra:
        method = _method(own, family.ranks(own, limit))
    return approximate(update, goal.family, budget=limit, grid=own, method=method)


def _terms(found: Approximation, dtype: torch.dtype) -> tuple[BlockFactors, ...]:
    terms = []
    pair = found.global_factors()
    if pair is not None and pair[0].shape[1]:
        whole = BlockLayout(found.grid.whole(), np.array([[pair[0].shape[1]]]))
        terms.append(BlockTerm(whole, {(0, 0): pair}))
    if found.rank_map.any():
        terms.append(BlockTerm(BlockLayout(found.grid, found.rank_map), found.factors()))
    return tuple(make_term(term, 1.0, dtype) for term in terms)


Found = tuple[tuple[BlockFactors, ...], dict[str, Any]]


def grid_of(goal: Goal, stored: Stored) -> GridSize:
    """Return the grid of a goal for the axes of one weight.

    Examples
    --------
    >>> goal = Goal("localized", (2, 4), torch.float32, rank=8)
    >>> grid_of(goal, LINEAR), grid_of(goal, Stored("conv1d"))
    ((2, 4), (4, 2))
    """
    # K_r counts outputs, which are the columns of a Conv1D.
    if stored.kind == "conv1d" and isinstance(goal.grid, tuple):
        return goal.grid[1], goal.grid[0]
    return goal.grid


def extract_one(
    base: TensorSource | None,
    tuned: TensorSource,
    name: str,
    goal: Goal,
    stored: Stored = LINEAR,
    ranks: np.ndarray | None = None,
) -> tuple[str, Found | str]:
    """Return the terms and the row of one matrix, or why it gets no adapter."""
    with one_thread():
        try:
            update, norm, _ = read_update(base, tuned, name)
            reject_unfit(update, "its update")
        except NonFiniteError as error:
            return name, str(error)
        if norm == 0:
            return name, "it has not changed"
        try:
            grid = Grid.resolve(grid_of(goal, stored), update.shape)
        except ValueError as error:
            if not resolve_family(goal.family).spans_whole:
                return name, str(error)
            grid = Grid.regular(update.shape, 1)
        found = _approximate(update, goal, grid, ranks)
        terms = _terms(found, goal.dtype)
        if not terms:
            return name, f"the budget leaves no rank for it ({goal.family}, grid {grid.label})"
        held = AdapterSet(AdapterConfig(rank=1, alpha=1.0), {name: terms}).delta(name)
        left = frobenius(update - held)
        row = {
            "name": name.removesuffix(".weight"),
            "kind": stored.kind,
            "rows": update.shape[0],
            "cols": update.shape[1],
            "num_parameters": sum(term.layout.num_parameters for term in terms),
            "rank": int(found.rank_map.max()),
            "global_rank": found.global_rank,
            "update_norm": norm,
            "relative_error": left / norm,
            "rounding_only": pair_rounding(base, tuned, name).only,
        }
        return name, (terms, row)


def steps_one(
    base: TensorSource | None,
    tuned: TensorSource,
    name: str,
    goal: Goal,
    stored: Stored = LINEAR,
) -> tuple[str, Steps | str]:
    """Return what each rank of one matrix would bring, or why it gets no adapter."""
    with one_thread():
        try:
            update = read_update(base, tuned, name).delta
        except NonFiniteError as error:
            return name, str(error)
        family = resolve_family(goal.family)
        try:
            size = 1 if family.spans_whole else grid_of(goal, stored)
            own = family.grid(Grid.resolve(size, update.shape))
        except ValueError as error:
            return name, str(error)
        # The scale is taken out, because energies of different matrices are compared.
        work, scale = normalized(update)
        steps = family.steps(gram_spectra(work, own))
        return name, steps._replace(energies=steps.energies * scale**2)
