"""Every family at one budget on one target, and the facts that explain who wins.

A target has one channel, or three where it is a colour image: then each channel is a matrix of its
own with a budget of r·(m + n), and the total is three times that.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from lolora_core.approximate import Decomposition
from lolora_core.blocks.approximation import Approximation
from lolora_core.blocks.grid import Grid, budget_for_rank
from lolora_core.common.metrics import effective_rank
from lolora_core.families import FAMILIES, Family, resolve_family
from lolora_core.families.base import Win

__all__ = [
    "Comparison",
    "Result",
    "compare",
    "eckart_young_floor",
    "energy_count",
    "errors_at_ranks",
    "explain",
    "matched_step",
    "pooled_errors",
    "rank_to_reach",
]

#: Two errors closer than this are a tie: the contract promises errors to 1e-5.
TIE = 1e-5


@dataclass(frozen=True, eq=False)
class Result:
    """One family at one budget, over all channels of a target.

    Attributes
    ----------
    family : Family
    channels : tuple of Approximation
        One for each channel.
    relative_error : float
        ‖W − Ŵ‖_F/‖W‖_F over all channels together.
    """

    family: Family
    channels: tuple[Approximation, ...]
    relative_error: float

    @property
    def energy(self) -> float:
        """Share of ‖W‖²_F that is captured."""
        return 1 - self.relative_error**2

    @property
    def num_parameters(self) -> int:
        """Parameters used, all channels together."""
        return sum(channel.num_parameters for channel in self.channels)

    @property
    def unused_parameters(self) -> int:
        """Parameters of the budget left over, all channels together."""
        return sum(channel.unused_parameters for channel in self.channels)

    @cached_property
    def rank_maps(self) -> np.ndarray:
        """Rank maps of the channels, shape (channels, K_r, K_c)."""
        return np.stack([channel.rank_map for channel in self.channels])

    def dense(self) -> Tensor:
        """Return Ŵ, shape (m, n) for one channel and (m, n, 3) for three."""
        parts = [channel.dense() for channel in self.channels]
        return parts[0] if len(parts) == 1 else torch.stack(parts, dim=-1)

    def reconstruction_rank(self) -> int:
        """Return the numerical rank of Ŵ, the largest over the channels."""
        return max(channel.numerical_rank() for channel in self.channels)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Several families at one budget.

    Attributes
    ----------
    rank : int
        Equivalent rank of the budget, for each channel.
    budget : int
        Parameters, all channels together.
    results : dict of str to Result
        The families asked for that are defined on the grid.
    """

    rank: int
    budget: int
    results: dict[str, Result]

    @property
    def ranking(self) -> list[Result]:
        """The results, lowest error first; ties keep the order of the registry."""
        return sorted(self.results.values(), key=lambda result: result.relative_error)

    @property
    def winners(self) -> list[Result]:
        """The result with the lowest error, and all that tie with it (within 1e-5)."""
        best = self.ranking[0].relative_error
        return [r for r in self.results.values() if r.relative_error <= best + TIE]

    @property
    def competing(self) -> list[Result]:
        """The results with at most twice the lowest error that is not zero; all exact ones too."""
        inexact = [r.relative_error for r in self.ranking if r.relative_error > TIE]
        most = 2 * inexact[0] if inexact else 0.0
        return [r for r in self.results.values() if r.relative_error <= most + TIE]


def pooled_errors(errors: Sequence[np.ndarray], channels: Sequence[Decomposition]) -> np.ndarray:
    """Combine the relative errors of channels, weighted by their energy.

    Examples
    --------
    >>> from lolora_core import decompose
    >>> channels = [decompose(np.eye(2) * size, grid=1) for size in (3, 4)]
    >>> pooled_errors([np.array([1.0]), np.array([0.5])], channels).round(4)
    array([0.7211])
    """
    totals = np.array([c.on(c.grid.whole()).spectra.total for c in channels])
    if not totals.sum():
        return np.zeros_like(errors[0])
    weights = totals / totals.sum()
    return np.sqrt(sum(w * e**2 for w, e in zip(weights, errors, strict=True)))


def compare(
    channels: Sequence[Decomposition], rank: int, families: Sequence[str] | None = None
) -> Comparison:
    """Approximate a target with every family that its grid allows, at one budget.

    Parameters
    ----------
    channels : sequence of Decomposition
        One for each channel, all on the same grid.
    rank : int
        Equivalent rank r; each channel gets r·(m + n) parameters.
    families : sequence of str, optional
        Names in `FAMILIES`; by default all that are read from singular values. Others cost a
        search and come only when named.

    Examples
    --------
    >>> from lolora_core import decompose
    >>> found = compare([decompose(np.eye(8), grid=4)], rank=2)
    >>> [result.family.name for result in found.winners]
    ['diagonal', 'adaptive']
    """
    grid = channels[0].grid
    budget = budget_for_rank(grid.shape, rank)
    results = {}
    asked = None if families is None else {resolve_family(name).name for name in families}
    for name, family in FAMILIES.items():
        if (family.from_spectra if asked is None else name in asked) and family.fits(grid):
            found = tuple(channel.approximate(family, budget=budget) for channel in channels)
            errors = [np.array(approximation.relative_error) for approximation in found]
            results[name] = Result(family, found, float(pooled_errors(errors, channels)))
    return Comparison(rank, budget * len(channels), results)


def errors_at_ranks(
    channels: Sequence[Decomposition], family: str, ranks: Sequence[int]
) -> Float64[np.ndarray, " q"]:
    """Return the relative error of a family at equivalent ranks, from singular values only.

    Examples
    --------
    >>> from lolora_core import decompose
    >>> errors_at_ranks([decompose(np.eye(4), grid=2)], "global", [0, 2, 4]).round(4)
    array([1.    , 0.7071, 0.    ])
    """
    budgets = [budget_for_rank(channels[0].grid.shape, rank) for rank in ranks]
    return pooled_errors([channel.errors(family, budgets) for channel in channels], channels)


def rank_to_reach(channels: Sequence[Decomposition], family: str, error: float) -> int | None:
    """Return the smallest equivalent rank at which a family's error is at most `error`.

    None where no budget reaches it. Errors never rise with the budget, so bisection finds it.

    Examples
    --------
    >>> from lolora_core import decompose
    >>> rank_to_reach([decompose(np.eye(4), grid=2)], "global", 0.8)
    2
    """
    grid = resolve_family(family).grid(channels[0].grid)
    full = int((grid.max_ranks * grid.costs).sum()) // sum(grid.shape) + 1
    ranks = range(full + 1)
    found = bisect_left(
        ranks, True, key=lambda r: bool(errors_at_ranks(channels, family, [r])[0] <= error + 1e-12)
    )
    return found if found <= full else None


def eckart_young_floor(
    channels: Sequence[Decomposition], ranks: Sequence[int]
) -> Float64[np.ndarray, " q"]:
    """Return the least error that any rank map on the grid could have at equivalent ranks.

    A budget P buys at most ⌊P/min(h_i + w_j)⌋ ranks on the grid, and rank(Ŵ) is at most their
    sum, so no Ŵ does better than the best approximation of the whole matrix of that rank
    (Eckart and Young 1936).

    Examples
    --------
    >>> from lolora_core import decompose
    >>> eckart_young_floor([decompose(np.eye(8), grid=2)], [1, 2]).round(4)
    array([0.866 , 0.7071])
    """
    grid = channels[0].grid
    cheapest = int(grid.costs.min())
    most = [budget_for_rank(grid.shape, r) // cheapest for r in ranks]
    wholes = [channel.on(grid.whole()).spectra for channel in channels]
    errors = [
        np.array([s.relative_error(np.array([[min(q, min(grid.shape))]])) for q in most])
        for s in wholes
    ]
    return pooled_errors(errors, channels)


def energy_count(channels: Sequence[Decomposition], share: float) -> int:
    """Return how many singular values of the whole matrix hold `share` of its energy.

    The largest count over the channels; 0 for the zero matrix.

    Examples
    --------
    >>> from lolora_core import decompose
    >>> energy_count([decompose(np.diag([3.0, 1.0, 1.0]), grid=1)], 0.8)
    1
    """
    counts = []
    for channel in channels:
        spectra = channel.on(channel.grid.whole()).spectra
        left = spectra.tails[0, 0]
        counts.append(int(np.argmax(left <= (1 - share) * spectra.total)))
    return max(counts)


def explain(found: Comparison, channels: Sequence[Decomposition]) -> str:
    """Say why the winner wins, with the numbers that decide it; the family itself says it.

    Examples
    --------
    >>> from lolora_core import decompose
    >>> channels = [decompose(np.eye(8), grid=4)]
    >>> explain(compare(channels, rank=2, families=["global", "diagonal"]), channels)
    'The 4 diagonal blocks hold 100 % of the energy.'
    """
    grid, winner = channels[0].grid, found.winners[0]
    if grid.blocks == (1, 1):
        return "The grid has one block, so every family is the same truncated SVD."
    if winner.relative_error >= 1 - TIE:
        return "The budget is too small to give any block a rank."
    wholes = [channel.on(grid.whole()).spectra for channel in channels]
    cut, size = [channel.on(grid).spectra for channel in channels], grid.costs.size
    reason = winner.family.explain(
        Win(
            grid,
            found.rank,
            energy_count(channels, 0.98),
            min(grid.shape),
            np.sum([s.tails[..., 0] for s in cut], axis=0),
            float(np.mean([effective_rank(s.values[0, 0]) for s in wholes])),
            float(np.mean([effective_rank(v) for s in cut for v in s.values.reshape(size, -1)])),
            {name: result.energy for name, result in found.results.items()},
            {name: result.rank_maps for name, result in found.results.items()},
            tuple(channel.global_rank for channel in winner.channels),
        )
    )
    return " ".join([reason, *_storing_nothing(found, grid)])


def _storing_nothing(found: Comparison, grid: Grid) -> Iterator[str]:
    for name, result in found.results.items():
        if result.num_parameters == 0:
            least = result.family.least_budget(grid) * len(result.channels)
            yield (
                f"{name.capitalize()} needs {least:,} parameters for one rank in each of its "
                f"blocks; the budget is {found.budget:,}, so it stores nothing."
            )


def matched_step(grid: Grid) -> int:
    """Return the step of equivalent ranks at which `localized` uses its budget to the last.

    r·(m + n) must be a multiple of one rank on every block, Σ (h_i + w_j) = K_c·m + K_r·n; on a
    K×K grid the step is K.

    Examples
    --------
    >>> matched_step(Grid.regular((512, 512), 8)), matched_step(Grid.regular((384, 384), 12, 1))
    (8, 13)
    """
    one_rank = int(grid.costs.sum())
    return one_rank // int(np.gcd(one_rank, sum(grid.shape)))
