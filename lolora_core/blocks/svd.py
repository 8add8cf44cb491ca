"""Singular value decompositions of all blocks of a grid, batched by block shape."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from lolora_core.blocks.gather import block_norms, gather_blocks
from lolora_core.blocks.grid import BlockGroup, Grid
from lolora_core.blocks.spectra import Spectra
from lolora_core.common.checks import compute_dtype

__all__ = [
    "OVERSAMPLING",
    "POWER_ITERATIONS",
    "BlockSVD",
    "GroupSVD",
    "Method",
    "block_svd",
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
