"""One pair of factors as it stands in a file: its matrix, its kind, ranks above full rank."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lolora_core.adapters.layout import BlockLayout
from lolora_core.adapters.sets import BlockTerm
from lolora_core.adapters.stored import LINEAR, Stored
from lolora_core.blocks.grid import Grid

__all__ = ["FactorPair", "GroupsError", "factor_pair", "whole_layout", "whole_term"]


class GroupsError(ValueError):
    """The factors of a convolution in groups: their product is no update of its weight."""


class FactorPair(NamedTuple):
    """Factors whose product is ΔW as the weight is stored, but for the scale.

    Attributes
    ----------
    left : Tensor, shape (m, r)
    right : Tensor, shape (r, n)
    stored : Stored
    """

    left: Float[Tensor, "m r"]
    right: Float[Tensor, "r n"]
    stored: Stored

    def turned(self, stored: Stored) -> FactorPair:
        """Return the factors of the transpose, for a weight that is stored so."""
        return FactorPair(self.right.T, self.left.T, stored)


def factor_pair(module: str, down: Tensor, up: Tensor) -> FactorPair:
    """Return the matrices of the factors of a linear layer or a convolution.

    Parameters
    ----------
    module : str
        For messages.
    down : Tensor, shape (r, in) or (r, in, k_h, k_w)
        PEFT's lora_A, kohya's lora_down; any number of kernel axes.
    up : Tensor, shape (out, r) or (out, r, 1, 1)
        PEFT's lora_B, kohya's lora_up.

    Raises
    ------
    ValueError
        Shapes that do not multiply.
    GroupsError
        The factors of a convolution in groups.

    Examples
    --------
    >>> pair = factor_pair("conv", torch.ones(2, 4, 3, 3), torch.ones(8, 2, 1, 1))
    >>> pair.left.shape, pair.right.shape, pair.stored.kernel
    (torch.Size([8, 2]), torch.Size([2, 36]), (3, 3))
    """
    shapes = f"factors of shapes {tuple(up.shape)} and {tuple(down.shape)}"
    if down.ndim < 2 or up.ndim < 2 or 0 in (*down.shape, *up.shape):
        raise ValueError(f"{module} has {shapes}, which do not multiply")
    rank, kernel = down.shape[0], tuple(down.shape[2:])
    if kernel and up.shape[1] != rank and rank % up.shape[1] == 0:
        raise GroupsError(
            f"{module} has {shapes}, those of a convolution in groups: their product joins "
            "channels of different groups, and no weight of the base has a place for it"
        )
    if up.shape[1] != rank or math.prod(up.shape[2:]) != 1:
        raise ValueError(f"{module} has {shapes}, which do not multiply")
    dtype = torch.promote_types(down.dtype, up.dtype)
    stored = Stored("conv", kernel) if kernel else LINEAR
    return FactorPair(up.flatten(1).to(dtype), down.flatten(1).to(dtype), stored)


def whole_layout(shape: tuple[int, int], rank: int) -> BlockLayout:
    """Return the layout of one product that spans the matrix."""
    return BlockLayout(Grid.regular(shape, 1), np.array([[rank]]))


def whole_term(
    module: str, left: Float[Tensor, "m r"], right: Float[Tensor, "r n"]
) -> tuple[BlockTerm, str]:
    """Return the term of one product, and a note where its rank is cut to the full rank.

    The product stays the same: left·right = Q₁·(R₁·R₂ᵀ)·Q₂ᵀ, and the SVD of what stands in the
    middle has at most min(m, n) singular values.

    Examples
    --------
    >>> term, note = whole_term("fc", torch.eye(2, 3), torch.eye(3, 4))
    >>> term.layout.rank_map.tolist(), note
    ([[2]], 'fc: rank 3 is above the full rank 2 of its 2×4 weight; its update is read at rank 2')
    """
    (m, rank), n = left.shape, right.shape[1]
    full, note = min(m, n), ""
    if rank > full:
        note = (
            f"{module}: rank {rank} is above the full rank {full} of its {m}×{n} weight; its "
            f"update is read at rank {full}"
        )
        left, right = _cut(left, right, full)
    return BlockTerm(whole_layout((m, n), left.shape[1]), {(0, 0): (left, right)}), note


def _cut(left: Tensor, right: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    (q1, r1), (q2, r2) = torch.linalg.qr(left.double()), torch.linalg.qr(right.double().T)
    u, s, vh = torch.linalg.svd(r1 @ r2.T, full_matrices=False)
    root = s[:rank].sqrt()
    wide = torch.promote_types(left.dtype, torch.float32)
    return (q1 @ u[:, :rank] * root).to(wide), (root[:, None] * (vh[:rank] @ q2.T)).to(wide)
