"""Ranks block by block, greatest energy per parameter first."""

from __future__ import annotations

import numpy as np

from lolora_core.blocks.grid import Grid, budget_for_rank
from lolora_core.blocks.rank_maps import RankMap
from lolora_core.blocks.spectra import Spectra
from lolora_core.blocks.svd import block_svd
from lolora_core.common.words import percent
from lolora_core.families.base import AdapterRequest, Family, Steps, TermRanks, Win
from lolora_core.families.curves import AdaptiveCurve
from lolora_core.families.global_ import Global
from lolora_core.families.localized import localized_ranks
from lolora_core.families.ranked import RankedFamily, blocks_for_half, spread_of_energy

__all__ = ["Adaptive", "adaptive_ranks", "nothing_to_choose_from", "stated_ranks"]


def adaptive_ranks(grid: Grid, budget: int, spectra: Spectra | None) -> RankMap:
    """Ranks block by block from the pooled spectra, greatest energy per parameter first.

    A singular value that no longer fits is passed over and the next that fits is taken. Where all
    blocks cost the same this is optimal. Where they do not, the rule is compared with
    `localized_ranks` and the better map is returned, so it is never worse than that. The error
    never rises with the budget.

    Raises
    ------
    ValueError
        No spectra: the rule reads them.

    Examples
    --------
    >>> values = np.array([[[9.0], [1.0]], [[2.0], [8.0]]])
    >>> grid = Grid.regular((2, 2), 2)
    >>> adaptive_ranks(grid, 4, Spectra(grid, values, np.zeros((2, 2))))
    array([[1, 0],
           [0, 1]])
    """
    if spectra is None:
        raise ValueError("adaptive chooses ranks from the spectra; none were given")
    pooled = spectra.by_density
    taken = int(np.searchsorted(pooled.spent, budget, side="right"))
    chosen = pooled.blocks[:taken]
    left = budget - (int(pooled.spent[taken - 1]) if taken else 0)
    at, extra = taken, []
    while left > 0:
        fits = np.flatnonzero(pooled.costs[at:] <= left)
        if not len(fits):
            break
        at += int(fits[0])
        extra.append(pooled.blocks[at])
        left -= int(pooled.costs[at])
        at += 1
    blocks = np.concatenate([chosen, np.asarray(extra, dtype=np.int64)])
    ranks = np.bincount(blocks, minlength=grid.costs.size).reshape(grid.blocks)
    uniform = localized_ranks(grid, budget)
    better = spectra.residuals(uniform).sum() < spectra.residuals(ranks).sum()
    return uniform if better else ranks


def stated_ranks(request: AdapterRequest) -> RankMap:
    """Return the ranks that are stated for an adapter, after checks against its grid.

    Raises
    ------
    ValueError
        Another shape than the grid's, or a rank above full rank.

    Examples
    --------
    >>> stated_ranks(AdapterRequest("fc", Grid.regular((4, 4), 1), 2, np.array([[5]])))
    Traceback (most recent call last):
    ValueError: rank_map for fc gives block (0, 0) rank 5; its full rank is 4
    """
    ranks, grid, place = request.rank_map, request.grid, request.place
    assert ranks is not None
    if ranks.shape != grid.blocks:
        raise ValueError(
            f"rank_map for {place} has {ranks.shape[0]}×{ranks.shape[1]} entries; "
            f"the grid is {grid.label}"
        )
    if (ranks > grid.max_ranks).any():
        i, j = np.argwhere(ranks > grid.max_ranks)[0].tolist()
        raise ValueError(
            f"rank_map for {place} gives block ({i}, {j}) rank {ranks[i, j]}; "
            f"its full rank is {grid.max_ranks[i, j]}"
        )
    return ranks


def nothing_to_choose_from(request: AdapterRequest, family: Family) -> ValueError:
    """Return the error of a source that is zero."""
    return ValueError(f"{request.word} is zero, so {family.name} has no rank to give")


class Adaptive(RankedFamily):
    """As `localized`, with ranks where the energy is; an idea of this project."""

    name = "adaptive"
    letter = "A"
    summary = "ranks block by block, greatest energy per parameter first"
    formula = r"\hat W_{ij} = B_{ij} A_{ij}, \quad P = \sum_{ij} r_{ij}\,(h_i + w_j)"
    source = "this project"
    needs_spectra = True
    init = "gradient"
    takes_ranks = True

    def ranks(self, grid: Grid, budget: int, spectra: Spectra | None = None) -> RankMap:
        """Return `adaptive_ranks`."""
        return adaptive_ranks(grid, budget, spectra)

    def is_best(self, grid: Grid) -> bool:
        """Return whether all blocks cost the same: else the choice of ranks is a heuristic."""
        return bool((grid.costs == grid.costs[0, 0]).all())

    def curve(self, spectra: Spectra) -> AdaptiveCurve:
        """Return what answers every budget, without a loop over budgets."""
        return AdaptiveCurve(spectra)

    def steps(self, spectra: Spectra) -> Steps:
        """Return a lane for each block."""
        order, grid = spectra.by_density, spectra.grid
        lanes = np.arange(grid.costs.size).reshape(grid.blocks)
        return Steps(order.blocks, order.energies, order.costs, grid, lanes)

    def adapter_terms(self, request: AdapterRequest) -> tuple[TermRanks, ...]:
        """Return one term: the ranks stated, or those for the spectra of the source."""
        if request.rank_map is not None:
            return (TermRanks(request.grid, stated_ranks(request)),)
        assert request.source is not None
        spectra = block_svd(request.source, request.grid).spectra
        budget = budget_for_rank(request.grid.shape, request.rank)
        ranks = adaptive_ranks(request.grid, budget, spectra)
        if not ranks.any():
            raise nothing_to_choose_from(request, self)
        return (TermRanks(request.grid, ranks),)

    def explain(self, win: Win) -> str:
        """Say on which blocks the parameters are spent."""
        ranks, energy = win.rank_maps[self.name], percent(win.energies[self.name])
        low, high, blocks = int(ranks.min()), int(ranks.max()), ranks[0].size
        most = blocks_for_half((ranks * win.grid.costs).sum(axis=0))
        if most < 0.4 * blocks:
            return (
                f"Detail is uneven: {self.name} spends half of its parameters on {most:,} of "
                f"{blocks:,} blocks, up to rank {high}, and gives the plainest rank {low}. So it "
                f"holds {energy} of the energy."
            )
        each = f"rank {high}" if low == high else f"ranks from {low} to {high}"
        return f"{spread_of_energy(win)} With {each} it holds {energy} of the energy."

    def stored_as(self, *, whole: bool, blocks: bool) -> Family:
        """On one block it is `global`, which alone needs no rank map."""
        return self if blocks else Global()
