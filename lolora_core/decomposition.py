"""Singular value decompositions of all blocks of a grid, batched by block shape."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple, SupportsIndex

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from numpy.typing import ArrayLike
from torch import Tensor

from lolora_core.blocks import block_norms, gather_blocks
from lolora_core.families import Family, resolve_family
from lolora_core.grid import BlockGroup, Grid, GridLike
from lolora_core.rank_maps import OWN, check_rank_map, one_of
from lolora_core.spectra import Spectra
from lolora_core.validation import Matrix, as_matrix, check_budget, compute_dtype

if TYPE_CHECKING:
    from lolora_core.approximation import Approximation
    from lolora_core.hybrid import HybridSearch

__all__ = [
    "OVERSAMPLING",
    "POWER_ITERATIONS",
    "BlockSVD",
    "Decomposition",
    "GroupSVD",
    "Method",
    "block_svd",
    "decompose",
    "randomized_svd",
]

Method = Literal["auto", "exact", "randomized"]

#: Extra columns of the random sketch beyond the rank asked for.
OVERSAMPLING = 10
#: Products with W·Wᵀ that sharpen the sketch where the spectrum falls slowly.
POWER_ITERATIONS = 3
# "auto" sketches only where a group's exact decomposition takes about a second or more, and the
# sketch is at most an eighth of the short side.
_EXACT_WORK = 2**32
_SKETCH_SHARE = 8


class GroupSVD(NamedTuple):
    """Singular value decompositions of blocks of one shape, X ≈ U·diag(S)·Vh.

    Attributes
    ----------
    group : BlockGroup
        Which blocks.
    u : Tensor, shape (b, h, k)
    s : Tensor, shape (b, k)
    vh : Tensor, shape (b, k, w)
    exact : bool
        k is full and nothing was sketched.
    """

    group: BlockGroup
    u: Tensor
    s: Tensor
    vh: Tensor
    exact: bool


def randomized_svd(
    blocks: Float[Tensor, "b h w"],
    rank: int,
    *,
    oversampling: int = OVERSAMPLING,
    iterations: int = POWER_ITERATIONS,
    seed: int = 0,
) -> tuple[Float[Tensor, "b h k"], Float[Tensor, "b k"], Float[Tensor, "b k w"]]:
    """Leading singular triples of a batch by a random sketch.

    An orthonormal basis Q of (X·Xᵀ)^iterations·X·Ω holds nearly the leading left singular
    vectors, so the small QᵀX is decomposed in place of X (Halko, Martinsson, Tropp,
    arXiv 0909.4061, algorithms 4.4 and 5.1).

    Parameters
    ----------
    blocks : Tensor, shape (b, h, w)
        The batch X.
    rank : int
        Triples wanted, k = min(rank, h, w).
    oversampling : int
        Extra columns of Ω.
    iterations : int
        Power iterations, each followed by a QR of both sides.
    seed : int
        Of Ω; the result depends on nothing else.

    Examples
    --------
    >>> x = torch.diag(torch.tensor([3.0, 2.0, 1.0]))[None]
    >>> randomized_svd(x, 2)[1].round(decimals=4)
    tensor([[3., 2.]])
    """
    depth = min(rank, *blocks.shape[-2:])
    width = min(rank + oversampling, *blocks.shape[-2:])
    generator = None
    if not blocks.is_meta:
        generator = torch.Generator(device=blocks.device).manual_seed(seed)
    # One Ω for the whole batch: the blocks do not depend on each other's sketch.
    sketch = torch.randn(
        blocks.shape[-1], width, dtype=blocks.dtype, device=blocks.device, generator=generator
    )
    basis = torch.linalg.qr(blocks @ sketch).Q
    for _ in range(iterations):
        basis = torch.linalg.qr(blocks.mT @ basis).Q
        basis = torch.linalg.qr(blocks @ basis).Q
    u, s, vh = torch.linalg.svd(basis.mT @ blocks, full_matrices=False)
    return basis @ u[..., :depth], s[..., :depth], vh[..., :depth, :]


def _use_sketch(group: BlockGroup, method: Method, max_rank: int | None) -> bool:
    if max_rank is None or method == "exact":
        return False
    side = min(group.height, group.width)
    if method == "randomized":
        return max_rank < side
    work = len(group.rows) * group.height * group.width * side
    return work >= _EXACT_WORK and (max_rank + OVERSAMPLING) * _SKETCH_SHARE <= side


@dataclass(frozen=True, eq=False)
class BlockSVD:
    """The decompositions of the blocks of a grid.

    Attributes
    ----------
    grid : Grid
    groups : tuple of GroupSVD
        One entry a block shape; blocks that nobody asked for are missing.
    energies : ndarray, shape (K_r, K_c), optional
        Squared norms of all blocks; present where the groups do not hold the whole matrix.
    """

    grid: Grid
    groups: tuple[GroupSVD, ...]
    energies: Float64[np.ndarray, "K_r K_c"] | None = None

    @property
    def exact(self) -> bool:
        """Whether every block that is held was decomposed in full."""
        return all(group.exact for group in self.groups)

    @property
    def nbytes(self) -> int:
        """Memory of the factors, in bytes."""
        return sum(t.numel() * t.element_size() for g in self.groups for t in (g.u, g.s, g.vh))

    @cached_property
    def spectra(self) -> Spectra:
        """The singular values on the host, in float64."""
        depth = max((g.s.shape[-1] for g in self.groups), default=0)
        values = np.zeros((*self.grid.blocks, depth))
        for group, _, s, _, _ in self.groups:
            values[group.rows, group.cols, : s.shape[-1]] = s.double().numpy(force=True)
        beyond = np.zeros(self.grid.blocks)
        if self.energies is not None:
            beyond = np.maximum(self.energies - (values**2).sum(-1), 0)
            for held in self.groups:
                if held.exact:
                    beyond[held.group.rows, held.group.cols] = 0
        return Spectra(self.grid, values, beyond)


def block_svd(
    matrix: Float[Tensor, "m n"],
    grid: Grid,
    *,
    method: Method = "auto",
    max_rank: int | None = None,
    wanted: Bool[np.ndarray, "K_r K_c"] | None = None,
) -> BlockSVD:
    """Decompose the blocks of a matrix: one batched call a block shape, four on a regular grid.

    Parameters
    ----------
    matrix : Tensor, shape (m, n)
        Any allowed dtype; half precision is decomposed in float32.
    grid : Grid
    method : {"auto", "exact", "randomized"}
        "auto" sketches (see `randomized_svd`) where blocks are large, `max_rank` is at most about
        an eighth of their short side, and the exact way would take about a second or more.
    max_rank : int, optional
        The largest rank that will be asked for; without it nothing is sketched.
    wanted : ndarray of bool, shape (K_r, K_c), optional
        Decompose only these blocks.

    Raises
    ------
    ValueError
        An unknown method, or "randomized" without `max_rank`.

    Examples
    --------
    >>> svd = block_svd(torch.eye(6), Grid.regular((6, 6), 3))
    >>> [tuple(group.u.shape) for group in svd.groups]
    [(9, 2, 2)]
    """
    if method not in ("auto", "exact", "randomized"):
        raise ValueError(f"method must be auto, exact or randomized; it is {method!r}")
    if method == "randomized" and max_rank is None:
        raise ValueError("method 'randomized' needs max_rank, the largest rank to be asked for")
    work = matrix.to(compute_dtype(matrix.dtype))
    held = []
    for group in grid.groups(wanted):
        blocks = gather_blocks(work, group)
        if _use_sketch(group, method, max_rank):
            assert max_rank is not None
            held.append(GroupSVD(group, *randomized_svd(blocks, max_rank), False))
        else:
            u, s, vh = torch.linalg.svd(blocks, full_matrices=False)
            held.append(GroupSVD(group, u, s, vh, True))
    partial = wanted is not None or not all(group.exact for group in held)
    energies = None if work.is_meta or not partial else block_norms(work, grid) ** 2
    return BlockSVD(grid, tuple(held), energies)


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
    _searches: dict[str, HybridSearch] = field(default_factory=dict, repr=False)

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
        >>> svd = decompose(torch.eye(4), grid=2)
        >>> svd.regrid(4).on(svd.grid.whole()) is svd.on(svd.grid.whole())
        True
        """
        other = Grid.resolve(grid, self.grid.shape)
        whole = self.grid.whole()
        held = {whole: self.on(whole)} | {g: s for g, s in self._held.items() if g == other}
        return Decomposition(self.target, other, self.method, self.max_rank, held)

    def _resolve(self, family: str | Family) -> tuple[Family, BlockSVD]:
        chosen = resolve_family(family) if isinstance(family, str) else family
        return chosen, self.on(chosen.grid(self.grid))

    def search(self, family: str | Family) -> HybridSearch:
        """Return the search of a family, made at the first call; its finds serve later budgets.

        Raises
        ------
        ValueError
            A family that needs none.
        """
        chosen = resolve_family(family) if isinstance(family, str) else family
        if chosen.search is None:
            raise ValueError(f"{chosen.name} is read from singular values; it needs no search")
        if chosen.name not in self._searches:
            self._searches[chosen.name] = chosen.search(self)
        return self._searches[chosen.name]

    def rank_map(self, family: str | Family, budget: SupportsIndex) -> np.ndarray:
        """Return the ranks that a family gives to the blocks of its grid at a budget.

        For `hybrid` those of its block term.
        """
        chosen, svd = self._resolve(family)
        if chosen.search is not None:
            return self.search(chosen).at(check_budget(budget)).rank_map
        spectra = svd.spectra if chosen.needs_spectra else None
        return chosen.ranks(svd.grid, check_budget(budget), spectra)

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
        >>> svd = decompose(torch.eye(4), grid=2)
        >>> svd.approximate("localized", budget=16).relative_error
        0.7071067811865476
        """
        from lolora_core.approximation import Approximation

        one_of(family, rank_map)
        if family is None:
            assert rank_map is not None
            ranks, limit = check_rank_map(rank_map, self.grid, budget)
            return Approximation.from_svd(OWN, limit, self.on(self.grid), ranks, self.target)
        limit = check_budget(budget)
        chosen, svd = self._resolve(family)
        if chosen.search is not None:
            return self.search(chosen).approximate(chosen.name, limit)
        ranks = self.rank_map(chosen, limit)
        return Approximation.from_svd(chosen.name, limit, svd, ranks, self.target)

    def errors(
        self, family: str | Family, budgets: Iterable[SupportsIndex]
    ) -> Float64[np.ndarray, " q"]:
        """Return the relative error at every budget, from singular values only.

        For `hybrid` after its search.

        Examples
        --------
        >>> decompose(torch.eye(4), grid=1).errors("global", [0, 8, 32]).round(3)
        array([1.   , 0.866, 0.   ])
        """
        chosen, svd = self._resolve(family)
        if chosen.search is not None:
            search = self.search(chosen)
            return np.array([search.at(check_budget(b)).relative_error for b in budgets])
        return np.array([svd.spectra.relative_error(self.rank_map(chosen, b)) for b in budgets])


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
        Bad input, see `as_matrix` and `Grid.regular`.

    Examples
    --------
    >>> svd = decompose(np.eye(8), grid=4)
    >>> svd.approximate("adaptive", budget=16).num_parameters
    16
    """
    matrix = as_matrix(target)
    return Decomposition(matrix, Grid.resolve(grid, tuple(matrix.shape)), method, max_rank)
