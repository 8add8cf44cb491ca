"""Factors of blocks, batched by block shape: how an approximation holds what it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lolora_core.blocks.grid import BlockGroup, Grid
from lolora_core.blocks.svd import BlockSVD

__all__ = ["GlobalTerm", "Part", "leading_term", "parts_of_factors", "parts_of_svd", "whole_part"]

# Columns of a sketch beyond the rank.
_OVERSAMPLING = 8


class GlobalTerm(NamedTuple):
    """G = U·diag(S)·Vh, of rank r₀.

    Attributes
    ----------
    u : Tensor, shape (m, r₀)
    s : Tensor, shape (r₀,)
    vh : Tensor, shape (r₀, n)
    """

    u: Float[Tensor, "m r"]
    s: Float[Tensor, " r"]
    vh: Float[Tensor, "r n"]

    @property
    def rank(self) -> int:
        """Return r₀."""
        return self.s.shape[0]

    def dense(self) -> Float[Tensor, "m n"]:
        """Return G."""
        return (self.u * self.s) @ self.vh


def leading_term(matrix: Float[Tensor, "m n"], rank: int, start: GlobalTerm) -> GlobalTerm:
    """Return the best rank-r term by one step of subspace iteration from `start`.

    At equal rank it is never a worse fit than that.

    Examples
    --------
    >>> start = GlobalTerm(torch.zeros(2, 0), torch.zeros(0), torch.zeros(0, 2))
    >>> leading_term(torch.diag(torch.tensor([3.0, 1.0])), 1, start).s.round(decimals=4)
    tensor([3.])
    """
    n = matrix.shape[1]
    generator = torch.Generator(device=matrix.device).manual_seed(0)
    extra = max(rank - start.rank, 0) + _OVERSAMPLING
    fresh = torch.randn(n, extra, dtype=matrix.dtype, device=matrix.device, generator=generator)
    basis = torch.cat([start.vh.mT, fresh / n**0.5], dim=1)
    basis = torch.linalg.qr(matrix @ basis).Q
    basis = torch.linalg.qr(matrix.mT @ basis).Q
    u, s, vh = torch.linalg.svd(matrix @ basis, full_matrices=False)
    return GlobalTerm(u[:, :rank], s[:rank], vh[:rank] @ basis.mT)


class Part(NamedTuple):
    """Factors of blocks of one shape, padded with zeros to the largest rank among them."""

    group: BlockGroup
    u: Float[Tensor, "b h r"]
    s: Float[Tensor, "b r"]
    vh: Float[Tensor, "b r w"]

    def product(self) -> Float[Tensor, "b h w"]:
        """Return U·diag(S)·Vh of every block."""
        return (self.u * self.s[:, None, :]) @ self.vh


def parts_of_svd(svd: BlockSVD, rank_map: Int[np.ndarray, "K_r K_c"]) -> tuple[Part, ...]:
    """Truncate every block to its rank; no factor is copied."""
    parts = []
    for group, u, s, vh, _ in svd.groups:
        ranks = rank_map[group.rows, group.cols]
        top = int(ranks.max(initial=0))
        if top == 0:
            continue
        keep = torch.as_tensor(np.arange(top) < ranks[:, None], device=s.device)
        parts.append(Part(group, u[..., :top], s[:, :top] * keep, vh[:, :top, :]))
    return tuple(parts)


def parts_of_factors(
    grid: Grid,
    rank_map: Int[np.ndarray, "K_r K_c"],
    factors: Mapping[tuple[int, int], tuple[Tensor, Tensor]],
) -> tuple[Part, ...]:
    """Gather the factors (B_ij, A_ij) of single blocks by block shape.

    Blocks of very different ranks are kept apart, so that zeros at most double what is held.
    """
    parts = []
    top = int(rank_map.max(initial=0))
    for low in (2**power for power in range(top.bit_length())):
        for group in grid.groups((rank_map >= low) & (rank_map < 2 * low)):
            ranks = rank_map[group.rows, group.cols]
            blocks = list(zip(group.rows.tolist(), group.cols.tolist(), strict=True))
            ones = factors[blocks[0]][0].new_ones(len(blocks), int(ranks.max()))
            left = ones.new_zeros(len(blocks), group.height, ones.shape[1])
            right = ones.new_zeros(len(blocks), ones.shape[1], group.width)
            for at, (block, rank) in enumerate(zip(blocks, ranks.tolist(), strict=True)):
                left[at, :, :rank], right[at, :rank] = factors[block]
            parts.append(Part(group, left, ones, right))
    return tuple(parts)


def whole_part(grid: Grid, term: GlobalTerm) -> Part:
    """Return a term over the whole matrix of a grid as a part."""
    (group,) = grid.whole().groups()
    return Part(group, term.u[None], term.s[None], term.vh[None])
