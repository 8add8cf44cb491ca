"""One decomposition a grid; then every family and every budget."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import SupportsIndex

import numpy as np
from jaxtyping import Float, Float64
from numpy.typing import ArrayLike
from torch import Tensor

from lolora_core.blocks.approximation import Approximation
from lolora_core.blocks.grid import Grid, GridLike
from lolora_core.blocks.rank_maps import OWN, RankMap, check_rank_map, one_of
from lolora_core.blocks.svd import BlockSVD, Method, block_svd
from lolora_core.common.checks import Matrix, as_matrix, check_budget, reject_unfit
from lolora_core.families import Family, RankedFamily, resolve_family
from lolora_core.families.base import Fit

__all__ = ["Decomposition", "approximate", "decompose"]


@dataclass(eq=False)
class Decomposition:
    """A target and the decompositions that every family and every budget is read from.

    Made by `decompose`. What a family needs is decomposed when it is first asked for and kept.

    Attributes
    ----------
    target : Tensor, shape (m, n)
    grid : Grid
    method : {"auto", "exact", "randomized"}
    max_rank : int or None
    """

    target: Tensor
    grid: Grid
    method: Method = "auto"
    max_rank: int | None = None
    _held: dict[Grid, BlockSVD] = field(default_factory=dict, repr=False)
    _fits: dict[str, Fit] = field(default_factory=dict, repr=False)

    def on(self, grid: Grid) -> BlockSVD:
        """Return the block decomposition on `grid`, made at the first call."""
        if grid not in self._held:
            self._held[grid] = block_svd(
                self.target, grid, method=self.method, max_rank=self.max_rank
            )
        return self._held[grid]

    def regrid(self, grid: GridLike) -> Decomposition:
        """Return the same target on another grid; the 1×1 decomposition is shared.

        Examples
        --------
        >>> import torch
        >>> svd = decompose(torch.eye(4), grid=2)
        >>> svd.regrid(4).on(svd.grid.whole()) is svd.on(svd.grid.whole())
        True
        """
        other = Grid.resolve(grid, self.grid.shape)
        whole = self.grid.whole()
        held = {whole: self.on(whole)} | {g: s for g, s in self._held.items() if g == other}
        return Decomposition(self.target, other, self.method, self.max_rank, held)

    def fit(self, family: str | Family) -> Fit:
        """Return a family's answer to every budget, made at the first call and kept."""
        chosen = resolve_family(family)
        if chosen.name not in self._fits:
            self._fits[chosen.name] = chosen.fit(self)
        return self._fits[chosen.name]

    def rank_map(self, family: str | Family, budget: SupportsIndex) -> np.ndarray:
        """Return the ranks that a family gives to the blocks of its grid at a budget.

        For `hybrid` those of its block term.
        """
        return self.fit(family).rank_map(check_budget(budget))

    def approximate(
        self,
        family: str | Family | None = None,
        *,
        budget: SupportsIndex | None = None,
        rank_map: ArrayLike | None = None,
    ) -> Approximation:
        """Return the best approximation of a family at a budget, or of a rank map.

        See `approximate`.

        Examples
        --------
        >>> import torch
        >>> svd = decompose(torch.eye(4), grid=2)
        >>> svd.approximate("localized", budget=16).relative_error
        0.7071067811865476
        """
        one_of(family, rank_map)
        if family is None:
            assert rank_map is not None
            ranks, limit = check_rank_map(rank_map, self.grid, budget)
            return Approximation.from_svd(OWN, limit, self.on(self.grid), ranks, self.target)
        return self.fit(family).approximate(check_budget(budget))

    def errors(
        self, family: str | Family, budgets: Iterable[SupportsIndex]
    ) -> Float64[np.ndarray, " q"]:
        """Return the relative error at every budget, from singular values only.

        For `hybrid` after its search.

        Examples
        --------
        >>> import torch
        >>> decompose(torch.eye(4), grid=1).errors("global", [0, 8, 32]).round(3)
        array([1.   , 0.866, 0.   ])
        """
        return self.fit(family).errors([check_budget(budget) for budget in budgets])


def decompose(
    target: Matrix,
    grid: GridLike,
    *,
    method: Method = "auto",
    max_rank: int | None = None,
) -> Decomposition:
    """Decompose a target once; afterwards every family and every budget is cheap.

    Parameters
    ----------
    target : Tensor or ndarray, shape (m, n)
        Real and finite; float16, bfloat16 (computed in float32), float32 or float64.
    grid : int, (int, int) or Grid
        K, (K_r, K_c) or any cut.
    method : {"auto", "exact", "randomized"}
        How blocks are decomposed, see `block_svd`.
    max_rank : int, optional
        Promise that no block will be asked for more; allows a randomized decomposition. Errors
        of a randomized decomposition are measured on the dense residual.

    Returns
    -------
    Decomposition

    Raises
    ------
    TypeError, ValueError
        Bad input, see `as_matrix`, `reject_unfit` and `Grid.regular`.

    Examples
    --------
    >>> svd = decompose(np.eye(8), grid=4)
    >>> svd.approximate("adaptive", budget=16).num_parameters
    16
    """
    matrix = as_matrix(target)
    reject_unfit(matrix, "target")
    return Decomposition(matrix, Grid.resolve(grid, tuple(matrix.shape)), method, max_rank)


def approximate(
    target: Matrix,
    family: str | None = None,
    *,
    budget: SupportsIndex | None = None,
    grid: GridLike = 1,
    rank_map: ArrayLike | None = None,
    method: Method = "auto",
) -> Approximation:
    """Return the best approximation of a target within a family and a budget, or of a rank map.

    The truncated SVD of each block is optimal for a given rank map (Eckart–Young, block by
    block): ‖W − Ŵ‖²_F is the sum of the discarded σ² over all blocks. `hybrid` is searched for,
    see `HybridFit`: it is never worse than `global` and `adaptive`, and not always the best.

    Parameters
    ----------
    target : Tensor or ndarray, shape (m, n)
        Real and finite; float16, bfloat16 (computed in float32), float32 or float64.
    family : str
        A name in `FAMILIES`; needed unless `rank_map` is given.
    budget : int
        Trainable parameters P ≥ 0; never exceeded. See `budget_for_rank`. With `rank_map` it may
        be left out: then it is what the map needs.
    grid : int, (int, int) or Grid
        K, (K_r, K_c) or any cut; `global` does not use it.
    rank_map : array of int, shape (K_r, K_c)
        The rank of every block, in place of `family`.
    method : {"auto", "exact", "randomized"}
        See `block_svd`; only the blocks and the ranks that are needed are decomposed. `adaptive`
        and `hybrid` read whole spectra, so "auto" means "exact" for them; "randomized" reads as
        many singular values of each block as the budget could pay for.

    Raises
    ------
    TypeError, ValueError
        Bad input; the message names the argument, the value and what is allowed.

    References
    ----------
    Localized LoRA, arXiv 2506.00236.

    Examples
    --------
    >>> a = approximate(np.eye(8), "localized", budget=64, grid=2)
    >>> a.rank_map
    array([[2, 2],
           [2, 2]])
    >>> round(a.relative_error, 4), a.unused_parameters
    (0.7071, 0)
    >>> approximate(np.eye(8), grid=2, rank_map=[[1, 0], [0, 2]]).num_parameters
    24
    """
    one_of(family, rank_map)
    matrix = as_matrix(target)
    reject_unfit(matrix, "target")
    asked = Grid.resolve(grid, tuple(matrix.shape))
    if family is None:
        assert rank_map is not None
        ranks, limit = check_rank_map(rank_map, asked, budget)
        return _truncate(OWN, matrix, asked, ranks, limit, method)
    chosen = resolve_family(family)
    cut = chosen.grid(asked)
    limit = check_budget(budget)
    if not isinstance(chosen, RankedFamily) or chosen.needs_spectra:
        way: Method = "exact" if method == "auto" else method
        most = limit // int(cut.costs.min())
        return Decomposition(matrix, cut, way, most).approximate(chosen, budget=limit)
    ranks = chosen.ranks(cut, limit)
    return _truncate(chosen.name, matrix, cut, ranks, limit, method, spans_whole=chosen.spans_whole)


def _truncate(
    family: str,
    matrix: Float[Tensor, "m n"],
    grid: Grid,
    ranks: RankMap,
    budget: int,
    method: Method,
    *,
    spans_whole: bool = False,
) -> Approximation:
    needed = None if ranks.all() else ranks > 0
    svd = block_svd(matrix, grid, method=method, max_rank=int(ranks.max()), wanted=needed)
    return Approximation.from_svd(family, budget, svd, ranks, matrix, spans_whole=spans_whole)
