"""What a family leaves out and what it spends at any budget, without a loop over budgets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float64, Int

from lolora_core.blocks.spectra import Spectra
from lolora_core.families import Family

__all__ = [
    "AdaptiveCurve",
    "Curve",
    "PooledCurve",
    "RuleCurve",
    "UniformCurve",
    "answers",
    "curve",
    "smallest_budget",
]

Budgets = Int[np.ndarray, " q"]
Energies = Float64[np.ndarray, " q"]

_ROUNDING = 1e-12


@runtime_checkable
class Curve(Protocol):
    """Answers every budget of one family on one grid."""

    @property
    def spectra(self) -> Spectra:
        """Singular values of the blocks of the grid that the family uses."""

    def at(self, budgets: Budgets) -> tuple[Energies, Budgets]:
        """Return the energy left out and the parameters used at each budget."""


@dataclass(frozen=True, eq=False)
class UniformCurve:
    """The same rank ρ = ⌊P/step⌋ on every wanted block, 0 on the others.

    Attributes
    ----------
    spectra : Spectra
    wanted : ndarray of bool, shape (K_r, K_c)
    step : int
        Parameters that one rank more costs by the family's rule.

    Examples
    --------
    >>> from lolora_core import Grid
    >>> spectra = Spectra(Grid.regular((2, 2), 1), np.array([[[4.0, 3.0]]]), np.zeros((1, 1)))
    >>> UniformCurve(spectra, np.ones((1, 1), dtype=bool), 4).at(np.array([0, 5, 99]))
    (array([25.,  9.,  0.]), array([0, 4, 8]))
    """

    spectra: Spectra
    wanted: Bool[np.ndarray, "K_r K_c"]
    step: int

    @cached_property
    def _left(self) -> Energies:
        tails = self.spectra.tails
        return tails[self.wanted].sum(0) + tails[~self.wanted, 0].sum()

    @cached_property
    def _spent(self) -> Budgets:
        grid = self.spectra.grid
        # A block pays for rank ρ only where its full rank is at least ρ.
        paying = np.bincount(
            grid.max_ranks[self.wanted], grid.costs[self.wanted], minlength=len(self._left)
        )
        per_rank = np.cumsum(paying[:0:-1])[::-1].astype(np.int64)
        return np.concatenate([[0], np.cumsum(per_rank)])

    def at(self, budgets: Budgets) -> tuple[Energies, Budgets]:
        """Return the energy left out and the parameters used at each budget."""
        ranks = np.minimum(budgets // self.step, len(self._left) - 1)
        return self._left[ranks], self._spent[ranks]


@dataclass(frozen=True, eq=False)
class AdaptiveCurve:
    """The rule of `adaptive_ranks`: greatest energy per parameter first, then what still fits.

    Where all blocks cost the same, nothing fits after the first that does not, and the energy
    left out is a running sum. Elsewhere each round takes, for all budgets at once, the next
    singular value that fits; the rounds end when no budget has room. Where `uniform`, the
    `localized` map, is better, it is taken.

    Examples
    --------
    >>> from lolora_core import Grid
    >>> values = np.array([[[9.0], [1.0]], [[2.0], [8.0]]])
    >>> spectra = Spectra(Grid.regular((2, 2), 2), values, np.zeros((2, 2)))
    >>> uniform = UniformCurve(spectra, np.ones((2, 2), dtype=bool), 8)
    >>> AdaptiveCurve(spectra, uniform).at(np.array([0, 2, 5]))
    (array([150.,  69.,   5.]), array([0, 2, 4]))
    """

    spectra: Spectra
    uniform: UniformCurve

    @cached_property
    def _left(self) -> Energies:
        energies = self.spectra.by_density.energies
        return np.concatenate([np.cumsum(energies[::-1])[::-1], [0.0]])

    @cached_property
    def _fitting(self) -> list[tuple[int, Int[np.ndarray, " p"]]]:
        """Each cost, rising, with the places in the order that cost no more; ends with q."""
        costs = self.spectra.by_density.costs
        return [
            (int(cost), np.append(np.flatnonzero(costs <= cost), len(costs)))
            for cost in np.unique(costs)
        ]

    def at(self, budgets: Budgets) -> tuple[Energies, Budgets]:
        """Return the energy left out and the parameters used at each budget."""
        spent = np.concatenate([[0], self.spectra.by_density.spent])
        place = np.searchsorted(spent, budgets, side="right") - 1
        left, used = self._left[place], spent[place]
        if len(self._fitting) > 1:
            left, used = self._fill(budgets, place, left, used)
        uniform_left, uniform_used = self.uniform.at(budgets)
        # Two maps that leave out the same sum in another order are equal.
        better = uniform_left < left * (1 - _ROUNDING)
        return np.where(better, uniform_left, left), np.where(better, uniform_used, used)

    def _fill(
        self, budgets: Budgets, place: Budgets, left: Energies, used: Budgets
    ) -> tuple[Energies, Budgets]:
        pooled = self.spectra.by_density
        limits = np.array([cost for cost, _ in self._fitting])
        left, used, open_ = left.copy(), used.copy(), np.arange(len(budgets))
        while len(open_):
            kind = np.searchsorted(limits, budgets[open_] - used[open_], side="right") - 1
            found = np.full(len(open_), len(pooled.costs))
            for k in np.unique(kind[kind >= 0]):
                places, mine = self._fitting[k][1], kind == k
                found[mine] = places[np.searchsorted(places, place[open_[mine]])]
            keep = found < len(pooled.costs)
            open_, found = open_[keep], found[keep]
            used[open_] += pooled.costs[found]
            left[open_] -= pooled.energies[found]
            place[open_] = found + 1
        # Differences leave rounding where everything was taken.
        left[used == pooled.spent[-1]] = 0.0
        return np.maximum(left, 0.0), used


@dataclass(frozen=True, eq=False)
class RuleCurve:
    """Any family, by its rank rule at each budget in turn: exact, but a loop."""

    spectra: Spectra
    family: Family

    def at(self, budgets: Budgets) -> tuple[Energies, Budgets]:
        """Return the energy left out and the parameters used at each budget."""
        grid = self.spectra.grid
        maps = [self.family.ranks(grid, int(budget), self.spectra) for budget in budgets]
        left = np.array([self.spectra.residuals(ranks).sum() for ranks in maps])
        return left, np.array([(ranks * grid.costs).sum() for ranks in maps], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class PooledCurve:
    """Several matrices together, each with an equal share of a budget.

    Examples
    --------
    >>> from lolora_core import Grid
    >>> spectra = Spectra(Grid.regular((2, 2), 1), np.array([[[4.0, 3.0]]]), np.zeros((1, 1)))
    >>> one = UniformCurve(spectra, np.ones((1, 1), dtype=bool), 4)
    >>> PooledCurve((one, one)).at(np.array([7, 8]))
    (array([50., 18.]), array([0, 8]))
    """

    parts: tuple[Curve, ...]

    @cached_property
    def spectra(self) -> Spectra:
        """Singular values of all matrices, block by block."""
        every = [part.spectra for part in self.parts]
        values = -np.sort(-np.concatenate([s.values for s in every], axis=-1), axis=-1)
        return Spectra(every[0].grid, values, np.sum([s.beyond for s in every], axis=0))

    def at(self, budgets: Budgets) -> tuple[Energies, Budgets]:
        """Return the energy left out and the parameters used at each budget."""
        found = [part.at(budgets // len(self.parts)) for part in self.parts]
        left, used = zip(*found, strict=True)
        return np.sum(left, axis=0), np.sum(used, axis=0)


def curve(family: Family, spectra: Spectra) -> Curve:
    """Return the curve of a family from the singular values of the grid that it uses.

    Examples
    --------
    >>> from lolora_core import FAMILIES, Grid
    >>> spectra = Spectra(Grid.regular((2, 2), 1), np.array([[[4.0, 3.0]]]), np.zeros((1, 1)))
    >>> curve(FAMILIES["global"], spectra).at(np.array([4]))
    (array([9.]), array([4]))
    """
    grid = spectra.grid
    everywhere = np.ones(grid.blocks, dtype=bool)
    localized = UniformCurve(spectra, everywhere, int(grid.costs.sum()))
    if family.name in ("global", "localized"):
        return localized
    if family.name == "diagonal":
        return UniformCurve(spectra, np.eye(grid.blocks[0], dtype=bool), sum(grid.shape))
    if family.name == "adaptive":
        return AdaptiveCurve(spectra, localized)
    return RuleCurve(spectra, family)


def answers(curve: Curve, budgets: Budgets) -> tuple[Float64[np.ndarray, " q"], Budgets]:
    """Return ‖W − Ŵ‖_F/‖W‖_F at each budget, 0 for the zero matrix, and the parameters used.

    Examples
    --------
    >>> from lolora_core import FAMILIES, Grid
    >>> spectra = Spectra(Grid.regular((2, 2), 1), np.array([[[4.0, 3.0]]]), np.zeros((1, 1)))
    >>> answers(curve(FAMILIES["global"], spectra), np.array([0, 4, 9]))
    (array([1. , 0.6, 0. ]), array([0, 4, 8]))
    """
    left, used = curve.at(budgets)
    total = curve.spectra.total
    return np.sqrt(left / total) if total else np.zeros(len(left)), used


def _whole_budget(curve: Curve) -> int:
    """Parameters at which every family but `diagonal` has full rank everywhere."""
    if isinstance(curve, PooledCurve):
        return sum(map(_whole_budget, curve.parts))
    grid = curve.spectra.grid
    return int(grid.max_ranks.max() * grid.costs.sum())


def smallest_budget(curve: Curve, error: float) -> int | None:
    """Return the fewest parameters with which the error is at most `error`; None if none do.

    Errors never rise with the budget, so bisection finds it.

    Examples
    --------
    >>> from lolora_core import FAMILIES, Grid
    >>> spectra = Spectra(Grid.regular((2, 2), 1), np.array([[[4.0, 3.0]]]), np.zeros((1, 1)))
    >>> smallest_budget(curve(FAMILIES["global"], spectra), 0.7)
    4
    """
    low, high = 0, _whole_budget(curve)
    if answers(curve, np.array([high]))[0][0] > error:
        return None
    while low < high:
        middle = (low + high) // 2
        if answers(curve, np.array([middle]))[0][0] <= error:
            high = middle
        else:
            low = middle + 1
    return high
