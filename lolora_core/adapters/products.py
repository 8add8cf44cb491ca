"""The update of a packed adapter as its definition reads: two batched products over blocks.

`lolora_core.adapters.products_fast` computes the same with less memory and fewer calls.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from lolora_core.adapters.layout import BlockLayout, Stretch

__all__ = ["block_products"]


def block_products(
    x: Float[Tensor, "T n"],
    layout: BlockLayout,
    gather: Tensor | None,
    a: Sequence[Float[Tensor, "_ _"]],
    b: Sequence[Float[Tensor, "_ _"]],
) -> Float[Tensor, "T m"]:
    """Return x·ΔWᵀ; ΔW_ij = B_ij·A_ij is never built.

    z_j = A_j·x_jᵀ for every block column j, then y_i = z_iᵀ·B_i for every block row i: each one
    batched product over adjacent blocks of one size and one number of ranks.

    Parameters
    ----------
    x : Tensor, shape (T, n)
        Of the dtype of the factors.
    layout : BlockLayout
    gather : Tensor of int, shape (slots,) or None
        `layout.gather` on the device of `x`.
    a, b : sequence of Tensor
        Of the shapes `layout.a_pieces` and `layout.b_pieces`.

    Examples
    --------
    >>> import numpy as np
    >>> from lolora_core.blocks.grid import Grid
    >>> layout = BlockLayout(Grid.regular((4, 2), 2), np.ones((2, 2), dtype=int))
    >>> a, b = [torch.ones(4, 1)], [torch.ones(4, 2)]
    >>> block_products(torch.tensor([[1.0, 2.0]]), layout, None, a, b)
    tensor([[3., 3., 3., 3.]])
    """
    z = [
        torch.einsum("ksw,tkw->kst", _factor(a, cols), _columns(x, cols)).flatten(0, 1)
        for cols in layout.col_stretches
    ]
    by_row = _in_order_of_b(torch.cat(z), layout, gather)
    y = x.new_zeros(len(x), layout.grid.shape[0])
    for rows in layout.row_stretches:
        update = torch.einsum("kst,ksh->tkh", _slots(by_row, rows), _factor(b, rows))
        _columns(y, rows).copy_(update)
    return y


def _columns(matrix: Float[Tensor, "T n"], stretch: Stretch) -> Float[Tensor, "T k w"]:
    size = (stretch.blocks, stretch.side)
    return matrix.narrow(1, stretch.start, stretch.blocks * stretch.side).unflatten(1, size)


def _factor(pieces: Sequence[Tensor], stretch: Stretch) -> Float[Tensor, "k s w"]:
    return _cut(pieces[stretch.piece], stretch.offset, stretch)


def _slots(z: Float[Tensor, "slots T"], stretch: Stretch) -> Float[Tensor, "k s T"]:
    return _cut(z, stretch.slot, stretch)


def _cut(rows: Float[Tensor, "_ w"], start: int, stretch: Stretch) -> Float[Tensor, "k s w"]:
    size = (stretch.blocks, stretch.slots)
    return rows.narrow(0, start, stretch.blocks * stretch.slots).unflatten(0, size)


def _in_order_of_b(
    z: Float[Tensor, "slots T"], layout: BlockLayout, gather: Tensor | None
) -> Float[Tensor, "slots T"]:
    if layout.strided:
        return z.unflatten(0, (-1, layout.block_rows)).transpose(0, 1).flatten(0, 1)
    return z if gather is None else z.index_select(0, gather)
