"""`block_products` made fast: nothing is permuted or copied, and the base takes part.

Every product writes straight into its place, so the backward is written by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from lolora_core.adapters.layout import BlockLayout, Stretch

__all__ = ["fast_block_products", "fast_linear_with_products"]


# One `as_strided` in place of a slice, a view and a transpose: at small sizes the number of calls
# is what a layer costs. All matrices here are contiguous.


def _columns(matrix: Float[Tensor, "T n"], stretch: Stretch) -> Float[Tensor, "b T w"]:
    rows, width = matrix.shape
    shape, strides = (stretch.blocks, rows, stretch.side), (stretch.side, width, 1)
    return (matrix[:, stretch.start :] if stretch.start else matrix).as_strided(shape, strides)


def _columns_turned(matrix: Float[Tensor, "T n"], stretch: Stretch) -> Float[Tensor, "b w T"]:
    rows, width = matrix.shape
    shape, strides = (stretch.blocks, stretch.side, rows), (stretch.side, 1, width)
    return (matrix[:, stretch.start :] if stretch.start else matrix).as_strided(shape, strides)


def _factor(pieces: Sequence[Tensor], stretch: Stretch) -> Float[Tensor, "b s w"]:
    return _stacked(pieces[stretch.piece], stretch.offset, stretch)


def _by_column(z: Float[Tensor, "slots T"], stretch: Stretch) -> Float[Tensor, "b s T"]:
    return _stacked(z, stretch.slot, stretch)


def _stacked(rows: Float[Tensor, "_ k"], start: int, stretch: Stretch) -> Float[Tensor, "b s k"]:
    width = rows.shape[1]
    shape, strides = (stretch.blocks, stretch.slots, width), (stretch.slots * width, width, 1)
    return (rows[start:] if start else rows).as_strided(shape, strides)


def _by_row(
    z: Float[Tensor, "slots T"], stretch: Stretch, layout: BlockLayout
) -> Float[Tensor, "b s T"]:
    # Equal ranks: the slots of block row i are every K_r-th row of z, from i on.
    if layout.strided:
        width, count = z.shape[1], layout.block_rows
        shape, strides = (stretch.blocks, stretch.slots, width), (width, count * width, 1)
        return (z[stretch.first :] if stretch.first else z).as_strided(shape, strides)
    return _by_column(z, stretch)


def _empty(x: Float[Tensor, "T n"], width: int, stretches: Sequence[Stretch]) -> Tensor:
    """Return room for what the stretches write; zeros where blocks without any rank leave gaps."""
    full = sum(stretch.blocks * stretch.side for stretch in stretches) == width
    return x.new_empty(len(x), width) if full else x.new_zeros(len(x), width)


def _forward(
    out: Float[Tensor, "T m"],
    beta: int,
    x: Float[Tensor, "T n"],
    layout: BlockLayout,
    gather: Tensor | None,
    factors: Sequence[Tensor],
) -> Float[Tensor, "slots T"]:
    """Write beta·out + x·ΔWᵀ to `out`; return the intermediate z."""
    count = len(layout.a_pieces)
    a, b = factors[:count], factors[count:]
    z = x.new_empty(layout.slots, x.shape[0])
    for stretch in layout.col_stretches:
        torch.bmm(_factor(a, stretch), _columns_turned(x, stretch), out=_by_column(z, stretch))
    if gather is not None:
        z = z.index_select(0, gather)
    for stretch in layout.row_stretches:
        rows = _by_row(z, stretch, layout).mT
        _columns(out, stretch).baddbmm_(rows, _factor(b, stretch), beta=beta)
    return z


def _backward(
    dx: Float[Tensor, "T n"] | None,
    beta: int,
    dy: Float[Tensor, "T m"],
    x: Float[Tensor, "T n"],
    z: Float[Tensor, "slots T"],
    layout: BlockLayout,
    gather: Tensor | None,
    factors: Sequence[Tensor],
) -> list[Tensor]:
    """Write beta·dx + dy·ΔW to `dx`, where it is wanted; return the gradients of the factors."""
    count = len(layout.a_pieces)
    a, b = factors[:count], factors[count:]
    dz, db = torch.empty_like(z), [torch.empty_like(piece) for piece in b]
    for stretch in layout.row_stretches:
        dy_run = _columns(dy, stretch)
        torch.bmm(_by_row(z, stretch, layout), dy_run, out=_factor(db, stretch))
        torch.bmm(
            _factor(b, stretch), _columns_turned(dy, stretch), out=_by_row(dz, stretch, layout)
        )
    if gather is not None:
        dz = torch.empty_like(dz).index_copy_(0, gather, dz)
    da = [torch.empty_like(piece) for piece in a]
    for stretch in layout.col_stretches:
        dz_run = _by_column(dz, stretch)
        torch.bmm(dz_run, _columns(x, stretch), out=_factor(da, stretch))
        if dx is not None:
            _columns(dx, stretch).baddbmm_(dz_run.mT, _factor(a, stretch), beta=beta)
    return [*da, *db]


class _AddBlockProducts(torch.autograd.Function):
    """`out=` views let each product write straight into its place, which autograd cannot do."""

    @staticmethod
    def forward(
        ctx: Any,
        onto: Tensor | None,
        x: Tensor,
        layout: BlockLayout,
        gather: Tensor | None,
        *factors: Tensor,
    ) -> Tensor:
        out = _empty(x, layout.grid.shape[0], layout.row_stretches) if onto is None else onto
        z = _forward(out, int(onto is not None), x, layout, gather, factors)
        ctx.layout = layout
        ctx.save_for_backward(x, z, gather, *factors)
        if onto is not None:
            ctx.mark_dirty(onto)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = upstream
        x, z, gather, *factors = ctx.saved_tensors
        layout: BlockLayout = ctx.layout
        dx = _empty(x, x.shape[1], layout.col_stretches) if ctx.needs_input_grad[1] else None
        changes = _backward(dx, 0, grad.contiguous(), x, z, layout, gather, factors)
        return grad if ctx.needs_input_grad[0] else None, dx, None, None, *changes


class _LinearWithProducts(torch.autograd.Function):
    """The frozen base and the update as one step of the backward, for layers that are small."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        layout: BlockLayout,
        gather: Tensor | None,
        *factors: Tensor,
    ) -> Tensor:
        out = functional.linear(x, weight, bias)
        z = _forward(out, 1, x, layout, gather, factors)
        ctx.layout = layout
        ctx.save_for_backward(x, z, gather, weight, *factors)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        x, z, gather, weight, *factors = ctx.saved_tensors
        dy = upstream[0].contiguous()
        dx = dy @ weight if ctx.needs_input_grad[0] else None
        changes = _backward(dx, 1, dy, x, z, ctx.layout, gather, factors)
        return dx, None, None, None, None, *changes


def fast_linear_with_products(
    x: Float[Tensor, "T n"],
    weight: Float[Tensor, "m n"],
    bias: Float[Tensor, " m"] | None,
    layout: BlockLayout,
    gather: Tensor | None,
    a: Sequence[Float[Tensor, "_ _"]],
    b: Sequence[Float[Tensor, "_ _"]],
) -> Float[Tensor, "T m"]:
    """Return x·(W + ΔW)ᵀ + bias for a frozen W and bias, everything in one dtype.

    The same as `fast_block_products` onto the output of the base.
    """
    return _LinearWithProducts.apply(x.contiguous(), weight, bias, layout, gather, *a, *b)


def fast_block_products(
    x: Float[Tensor, "T n"],
    layout: BlockLayout,
    gather: Tensor | None,
    a: Sequence[Float[Tensor, "_ _"]],
    b: Sequence[Float[Tensor, "_ _"]],
    onto: Float[Tensor, "T m"] | None = None,
) -> Float[Tensor, "T m"]:
    """Return what `block_products` returns, or add it to `onto` in place.

    The intermediate z holds T·Σ r_ij values: with equal ranks ρ = r/K that is K times LoRA's T·r,
    while the products cost the same. z keeps the tokens last, so block row i finds its slots at a
    constant distance.

    Parameters
    ----------
    x, layout, gather, a, b
        As in `block_products`.
    onto : Tensor, shape (T, m), optional
        Contiguous, of the dtype of `x`; overwritten.

    Examples
    --------
    >>> import numpy as np
    >>> from lolora_core.blocks.grid import Grid
    >>> layout = BlockLayout(Grid.regular((4, 2), 2), np.ones((2, 2), dtype=int))
    >>> a, b = [torch.ones(4, 1)], [torch.ones(4, 2)]
    >>> x = torch.tensor([[1.0, 2.0]])
    >>> fast_block_products(x, layout, None, a, b, onto=torch.ones(1, 4))
    tensor([[4., 4., 4., 4.]])
    """
    return _AddBlockProducts.apply(onto, x.contiguous(), layout, gather, *a, *b)
