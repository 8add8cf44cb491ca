"""Families that are a grid plus a rule that gives every block its rank."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from lolora_core.blocks.approximation import Approximation
from lolora_core.blocks.grid import Grid, budget_for_rank
from lolora_core.blocks.rank_maps import RankMap
from lolora_core.blocks.spectra import Spectra
from lolora_core.blocks.svd import BlockSVD
from lolora_core.common.words import percent
from lolora_core.families.base import (
    AdapterRequest,
    Curve,
    Decomposed,
    Family,
    Steps,
    TermRanks,
    Win,
)
from lolora_core.families.curves import RuleCurve, UniformCurve

__all__ = ["EqualRanks", "RankedFamily", "equal_ranks", "spread_of_energy"]


class RankedFamily(Family):
    """A rank rule; the best fit is the truncated SVD of each block (Eckart–Young)."""

    from_spectra = True

    @abstractmethod
    def ranks(self, grid: Grid, budget: int, spectra: Spectra | None = None) -> RankMap:
        """Return the rank of every block of the family's own grid at a budget.

        `spectra` is read, and must be given, where the family `needs_spectra`.
        """

    def curve(self, spectra: Spectra) -> Curve:
        """Return what answers every budget from the singular values of the family's own grid."""
        return RuleCurve(spectra, self.ranks)

    def is_best(self, grid: Grid) -> bool:
        """Return True: the budget alone sets the ranks, and for given ranks the SVD is best."""
        return True

    def fit(self, svd: Decomposed) -> RankedFit:
        """Return what answers every budget on a target."""
        return RankedFit(self, svd.on(self.grid(svd.grid)), svd.target)


@dataclass(frozen=True, eq=False)
class RankedFit:
    """A rank rule on a decomposed target."""

    family: RankedFamily
    svd: BlockSVD
    target: Float[Tensor, "m n"]

    def rank_map(self, budget: int) -> RankMap:
        """Return the ranks of the blocks."""
        spectra = self.svd.spectra if self.family.needs_spectra else None
        return self.family.ranks(self.svd.grid, budget, spectra)

    def ready(self, budget: int) -> bool:
        """Return True: singular values tell every budget."""
        return True

    def errors(self, budgets: Iterable[int]) -> Float64[np.ndarray, " q"]:
        """Return ‖W − Ŵ‖_F/‖W‖_F at each budget, from singular values only."""
        return np.array([self.svd.spectra.relative_error(self.rank_map(b)) for b in budgets])

    def approximate(self, budget: int) -> Approximation:
        """Truncate the decomposition of every block to its rank."""
        return Approximation.from_svd(
            self.family.name,
            budget,
            self.svd,
            self.rank_map(budget),
            self.target,
            spans_whole=self.family.spans_whole,
        )


def equal_ranks(grid: Grid, budget: int, wanted: Bool[np.ndarray, "K_r K_c"]) -> RankMap:
    """Return ρ = ⌊P/Σ(h_i + w_j)⌋ on the wanted blocks, capped at full rank, and 0 elsewhere.

    Examples
    --------
    >>> equal_ranks(Grid.regular((8, 8), 2), 32, np.eye(2, dtype=bool))
    array([[2, 0],
           [0, 2]])
    """
    return np.minimum(wanted * (budget // int(grid.costs[wanted].sum())), grid.max_ranks)


class EqualRanks(RankedFamily):
    """The same rank on every wanted block, 0 on the others."""

    def wanted(self, grid: Grid) -> Bool[np.ndarray, "K_r K_c"]:
        """Return which blocks get a rank; all of them, unless a family says otherwise."""
        return np.ones(grid.blocks, dtype=bool)

    def ranks(self, grid: Grid, budget: int, spectra: Spectra | None = None) -> RankMap:
        """Return ρ = ⌊P/Σ(h_i + w_j)⌋ on the wanted blocks."""
        return equal_ranks(grid, budget, self.wanted(grid))

    def curve(self, spectra: Spectra) -> UniformCurve:
        """Return what answers every budget, without a loop over budgets."""
        return UniformCurve(spectra, self.wanted(spectra.grid))

    def steps(self, spectra: Spectra) -> Steps:
        """Return one lane: the wanted blocks go together."""
        grid, wanted = spectra.grid, self.wanted(spectra.grid)
        energies = (spectra.values[wanted] ** 2).sum(0)
        ranks = np.arange(1, len(energies) + 1)
        costs = ((ranks <= grid.max_ranks[wanted][:, None]) * grid.costs[wanted][:, None]).sum(0)
        paid = energies > 0
        lanes = np.zeros(int(paid.sum()), dtype=np.int64)
        return Steps(lanes, energies[paid], costs[paid], grid, np.where(wanted, 0, -1))

    def adapter_terms(self, request: AdapterRequest) -> tuple[TermRanks, ...]:
        """Return one term; a rank that leaves none for a block, or is too large, is an error."""
        grid, rank = self.grid(request.grid), request.rank
        wanted, sides = self.wanted(grid), sum(grid.shape)
        cost, full = int(grid.costs[wanted].sum()), int(grid.max_ranks[wanted].min())
        each = budget_for_rank(grid.shape, rank) // cost
        blocks = f"the {self.name} blocks" if not wanted.all() else "the blocks"
        where = f"{blocks} of the {grid.label} grid on {request.place}"
        if each < 1:
            raise ValueError(
                f"rank {rank} leaves no rank for {where}; the smallest rank that works is "
                f"{-(-cost // sides)}"
            )
        if each > full:
            raise ValueError(
                f"rank {rank} is above the full rank of {where}; the largest rank that works is "
                f"{((full + 1) * cost - 1) // sides}"
            )
        return (TermRanks(grid, wanted * each),)

    def explain(self, win: Win) -> str:
        """Say how the energy lies over the blocks, and what their rank holds of it."""
        rank, energy = int(win.rank_maps[self.name].max()), win.energies[self.name]
        return f"{spread_of_energy(win)} Rank {rank} on each holds {percent(energy)} of the energy."

    def least_budget(self, grid: Grid) -> int:
        """Return what one rank on each of its blocks costs."""
        own = self.grid(grid)
        return int(own.costs[self.wanted(own)].sum())


def spread_of_energy(win: Win) -> str:
    """Say whether a few blocks hold most of the energy, and if not, whether they are simpler.

    Examples
    --------
    >>> energies = np.array([[8.0, 1.0], [1.0, 0.0]])
    >>> win = Win(Grid.regular((4, 4), 2), 1, 1, 4, energies, 1.0, 1.0, {}, {}, (0,))
    >>> spread_of_energy(win)
    'Detail is uneven: 1 of 4 blocks holds half of the energy.'
    """
    half, blocks = blocks_for_half(win.block_energies), win.block_energies.size
    if half < 0.4 * blocks:
        hold = "holds" if half == 1 else "hold"
        return f"Detail is uneven: {half:,} of {blocks:,} blocks {hold} half of the energy."
    most, each = float(win.grid.max_ranks.mean()), win.block_effective_rank
    # Of noise, blocks and the whole need the same share of their singular values.
    simpler = each / most < 0.9 * win.effective_rank / win.whole
    return (
        f"{'One block is simpler' if simpler else 'One block is no simpler'} than the whole: it is "
        f"made of about {each:.3g} of {most:.3g} possible patterns, the whole of "
        f"{win.effective_rank:.3g} of {win.whole:,}."
    )


def blocks_for_half(shares: Float64[np.ndarray, "..."] | Int[np.ndarray, "..."]) -> int:
    """Return how many of the largest shares make half of the sum.

    Examples
    --------
    >>> blocks_for_half(np.array([1.0, 5.0, 4.0]))
    1
    """
    falling = np.sort(shares.ravel())[::-1]
    return int(np.searchsorted(np.cumsum(falling), shares.sum() / 2)) + 1
