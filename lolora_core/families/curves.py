"""What a rank rule leaves out and what it spends at any budget, without a loop over budgets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int

from lolora_core.blocks.grid import Grid
from lolora_core.blocks.rank_maps import RankMap
from lolora_core.blocks.spectra import Spectra

__all__ = ["AdaptiveCurve", "RuleCurve", "UniformCurve"]

Budgets = Int[np.ndarray, " q"]
Energies = Float64[np.ndarray, " q"]

_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class UniformCurve:
    """The same rank ρ = ⌊P/Σ(h_i + w_j)⌋ on every wanted block, 0 on the others.

    Attributes
    ----------
    spectra : Spectra
    wanted : ndarray of bool, shape (K_r, K_c)

    Examples
    --------
    >>> from lolora_core import Grid
    >>> spectra = Spectra(Grid.regular((2, 2), 1), np.array([[[4.0, 3.0]]]), np.zeros((1, 1)))
    >>> UniformCurve(spectra, np.ones((1, 1), dtype=bool)).at(np.array([0, 5, 99]))
    (array([25.,  9.,  0.]), array([0, 4, 8]))
    """

    spectra: Spectra
    wanted: Bool[np.ndarray, "K_r K_c"]

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
        step = int(self.spectra.grid.costs[self.wanted].sum())
        ranks = np.minimum(budgets // step, len(self._left) - 1)
        return self._left[ranks], self._spent[ranks]


@dataclass(frozen=True, eq=False)
class AdaptiveCurve:
    """The rule of `adaptive_ranks`: greatest energy per parameter first, then what still fits.

    Where all blocks cost the same, nothing fits after the first that does not, and the energy
    left out is a running sum. Elsewhere each round takes, for all budgets at once, the next
    singular value that fits; the rounds end when no budget has room. Where equal ranks are better,
    they are taken.

    Examples
    --------
    >>> from lolora_core import Grid
    >>> values = np.array([[[9.0], [1.0]], [[2.0], [8.0]]])
    >>> spectra = Spectra(Grid.regular((2, 2), 2), values, np.zeros((2, 2)))
    >>> AdaptiveCurve(spectra).at(np.array([0, 2, 5]))
    (array([150.,  69.,   5.]), array([0, 2, 4]))
    """

    spectra: Spectra

    @cached_property
    def _uniform(self) -> UniformCurve:
        return UniformCurve(self.spectra, np.ones(self.spectra.grid.blocks, dtype=bool))

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
        uniform_left, uniform_used = self._uniform.at(budgets)
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
    """Any rank rule, at each budget in turn: exact, but a loop."""

    spectra: Spectra
    rule: Callable[[Grid, int, Spectra], RankMap]

    def at(self, budgets: Budgets) -> tuple[Energies, Budgets]:
        """Return the energy left out and the parameters used at each budget."""
        grid = self.spectra.grid
        maps = [self.rule(grid, int(budget), self.spectra) for budget in budgets]
        left = np.array([self.spectra.residuals(ranks).sum() for ranks in maps])
        return left, np.array([(ranks * grid.costs).sum() for ranks in maps], dtype=np.int64)
