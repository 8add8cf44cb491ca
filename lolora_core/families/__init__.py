"""The registry of families: each is a grid plus a rule that gives every block its rank."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from lolora_core.blocks.grid import Grid
from lolora_core.blocks.spectra import Spectra

if TYPE_CHECKING:
    from lolora_core.approximate import Decomposition
    from lolora_core.families.hybrid import HybridSearch

__all__ = [
    "FAMILIES",
    "Family",
    "adaptive_ranks",
    "diagonal_ranks",
    "global_ranks",
    "localized_ranks",
    "resolve_family",
]

RankMap = Int[np.ndarray, "K_r K_c"]
RankRule = Callable[[Grid, int, Spectra | None], np.ndarray]


def global_ranks(grid: Grid, budget: int, spectra: Spectra | None = None) -> RankMap:
    """One block with r = ⌊P/(m + n)⌋, as LoRA (arXiv 2106.09685).

    Examples
    --------
    >>> global_ranks(Grid.regular((8, 8), 1), 50)
    array([[3]])
    """
    return np.minimum(budget // grid.costs, grid.max_ranks)


def diagonal_ranks(grid: Grid, budget: int, spectra: Spectra | None = None) -> RankMap:
    """ρ = ⌊P/(m + n)⌋ on the diagonal blocks, 0 elsewhere, as MELoRA (arXiv 2402.17263).

    Raises
    ------
    ValueError
        A grid with different numbers of block rows and columns: it has no diagonal.

    Examples
    --------
    >>> diagonal_ranks(Grid.regular((8, 8), 2), 32)
    array([[2, 0],
           [0, 2]])
    """
    rows, cols = grid.blocks
    if rows != cols:
        raise ValueError(
            f"diagonal needs as many block rows as block columns; the grid is {grid.label} "
            f"on a {grid.shape[0]}×{grid.shape[1]} matrix"
        )
    rank = budget // sum(grid.shape)
    return np.minimum(np.eye(rows, dtype=np.int64) * rank, grid.max_ranks)


def localized_ranks(grid: Grid, budget: int, spectra: Spectra | None = None) -> RankMap:
    """ρ = ⌊P/(K_c·m + K_r·n)⌋ on every block, as Localized LoRA (arXiv 2506.00236).

    Examples
    --------
    >>> localized_ranks(Grid.regular((8, 8), 2), 32)
    array([[1, 1],
           [1, 1]])
    """
    return np.minimum(budget // int(grid.costs.sum()), grid.max_ranks)


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


def _hybrid_search(svd: Decomposition) -> HybridSearch:
    from lolora_core.families.hybrid import HybridSearch

    whole, blocks = svd.on(svd.grid.whole()), svd.on(svd.grid)
    return HybridSearch(svd.target, whole, blocks, svd.method, svd.max_rank)


@dataclass(frozen=True)
class Family:
    """One family of approximations.

    Attributes
    ----------
    name : str
        The key in `FAMILIES`.
    summary : str
        The rule in one line.
    source : str
        Where it comes from.
    ranks : callable
        ``(grid, budget, spectra) -> rank map``; of the block term where there is a search.
    whole : bool
        The rule is used on the 1×1 grid, whatever grid is asked for.
    needs_spectra : bool
        The rule reads singular values; the others know their ranks from the budget alone.
    needs_square_grid : bool
        The rule needs as many block rows as block columns.
    search : callable, optional
        ``(Decomposition) -> search``, for a family that singular values alone do not tell. See
        `HybridSearch` for what a search offers; `Decomposition.search` keeps it.
    """

    name: str
    summary: str
    source: str
    ranks: RankRule
    whole: bool = False
    needs_spectra: bool = False
    needs_square_grid: bool = False
    search: Callable[[Decomposition], HybridSearch] | None = None

    @property
    def from_spectra(self) -> bool:
        """Whether ranks and errors are read from the singular values of the target's blocks.

        Where they are not, every new grid costs a search.
        """
        return self.search is None

    def grid(self, grid: Grid) -> Grid:
        """Return the grid the family uses where `grid` is asked for."""
        return grid.whole() if self.whole else grid

    def fits(self, grid: Grid) -> bool:
        """Return whether the family is defined on `grid`."""
        return not self.needs_square_grid or grid.blocks[0] == grid.blocks[1]


#: Every family by name.
FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            "global",
            "one low-rank product for the whole matrix",
            "LoRA, arXiv 2106.09685",
            global_ranks,
            whole=True,
        ),
        Family(
            "diagonal",
            "equal ranks on the diagonal blocks, nothing elsewhere",
            "MELoRA, arXiv 2402.17263",
            diagonal_ranks,
            needs_square_grid=True,
        ),
        Family(
            "localized",
            "equal ranks on every block",
            "Localized LoRA, arXiv 2506.00236",
            localized_ranks,
        ),
        Family(
            "adaptive",
            "ranks block by block, greatest energy per parameter first",
            "this project",
            adaptive_ranks,
            needs_spectra=True,
        ),
        Family(
            "hybrid",
            "a low-rank product for the whole matrix plus adaptive ranks on what it leaves",
            "this project; fixed-rank form: hybrid GraLoRA, arXiv 2505.20355",
            adaptive_ranks,
            needs_spectra=True,
            search=_hybrid_search,
        ),
    )
}


def resolve_family(name: str) -> Family:
    """Return the family of that name.

    Raises
    ------
    ValueError
        An unknown name; the message lists the known ones.

    Examples
    --------
    >>> resolve_family("localized").source
    'Localized LoRA, arXiv 2506.00236'
    """
    try:
        return FAMILIES[name]
    except (KeyError, TypeError):
        raise ValueError(f"family must be one of {', '.join(FAMILIES)}; it is {name!r}") from None
