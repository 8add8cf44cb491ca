"""The two batched products of a packed block low-rank update; nothing is permuted or copied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from lolora_core.adapters.layout import BlockLayout, Run

__all__ = ["add_block_products", "linear_with_products"]


# One `as_strided` in place of a slice, a view and a transpose: at small sizes the number of calls
# is what a layer costs. All matrices here are contiguous.


def _columns(matrix: Float[Tensor, "T n"], run: Run) -> Float[Tensor, "b T w"]:
    rows, width = matrix.shape
    shape, strides = (run.blocks, rows, run.side), (run.side, width, 1)
    return (matrix[:, run.start :] if run.start else matrix).as_strided(shape, strides)


def _columns_turned(matrix: Float[Tensor, "T n"], run: Run) -> Float[Tensor, "b w T"]:
    rows, width = matrix.shape
    shape, strides = (run.blocks, run.side, rows), (run.side, 1, width)
    return (matrix[:, run.start :] if run.start else matrix).as_strided(shape, strides)


def _factor(pieces: Sequence[Tensor], run: Run) -> Float[Tensor, "b s w"]:
    return _stacked(pieces[run.piece], run.offset, run)


def _by_column(z: Float[Tensor, "slots T"], run: Run) -> Float[Tensor, "b s T"]:
    return _stacked(z, run.slot, run)


def _stacked(rows: Float[Tensor, "_ k"], start: int, run: Run) -> Float[Tensor, "b s k"]:
    width = rows.shape[1]
    shape, strides = (run.blocks, run.slots, width), (run.slots * width, width, 1)
    return (rows[start:] if start else rows).as_strided(shape, strides)


def _by_row(z: Float[Tensor, "slots T"], run: Run, layout: BlockLayout) -> Float[Tensor, "b s T"]:
    # Equal ranks: the slots of block row i are every K_r-th row of z, from i on.
    if layout.strided:
        width, count = z.shape[1], layout.block_rows
        shape, strides = (run.blocks, run.slots, width), (width, count * width, 1)
        return (z[run.first :] if run.first else z).as_strided(shape, strides)
    return _by_column(z, run)


def _empty(x: Float[Tensor, "T n"], width: int, runs: Sequence[Run]) -> Tensor:
    """Return room for what the runs write; zeros where blocks without any rank leave gaps."""
    full = sum(run.blocks * run.side for run in runs) == width
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
    for run in layout.col_runs:
        torch.bmm(_factor(a, run), _columns_turned(x, run), out=_by_column(z, run))
    if gather is not None:
        z = z.index_select(0, gather)
    for run in layout.row_runs:
        rows = _by_row(z, run, layout).mT
        _columns(out, run).baddbmm_(rows, _factor(b, run), beta=beta)
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
    for run in layout.row_runs:
        dy_run = _columns(dy, run)
        torch.bmm(_by_row(z, run, layout), dy_run, out=_factor(db, run))
        torch.bmm(_factor(b, run), _columns_turned(dy, run), out=_by_row(dz, run, layout))
    if gather is not None:
        dz = torch.empty_like(dz).index_copy_(0, gather, dz)
    da = [torch.empty_like(piece) for piece in a]
    for run in layout.col_runs:
        dz_run = _by_column(dz, run)
        torch.bmm(dz_run, _columns(x, run), out=_factor(da, run))
        if dx is not None:
            _columns(dx, run).baddbmm_(dz_run.mT, _factor(a, run), beta=beta)
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
        out = _empty(x, layout.grid.shape[0], layout.row_runs) if onto is None else onto
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
        dx = _empty(x, x.shape[1], layout.col_runs) if ctx.needs_input_grad[1] else None
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


def linear_with_products(
    x: Float[Tensor, "T n"],
    weight: Float[Tensor, "m n"],
    bias: Float[Tensor, " m"] | None,
    layout: BlockLayout,
    gather: Tensor | None,
    a: Sequence[Float[Tensor, "_ _"]],
    b: Sequence[Float[Tensor, "_ _"]],
) -> Float[Tensor, "T m"]:
    """Return x·(W + ΔW)ᵀ + bias for a frozen W and bias, everything in one dtype.

    The same as `add_block_products` onto the output of the base.
    """
    return _LinearWithProducts.apply(x.contiguous(), weight, bias, layout, gather, *a, *b)


def _plain(
    onto: Tensor | None,
    x: Tensor,
    layout: BlockLayout,
    gather: Tensor | None,
    a: Sequence[Tensor],
    b: Sequence[Tensor],
) -> Tensor:
    z = torch.cat([(_factor(a, r) @ _columns_turned(x, r)).flatten(0, 1) for r in layout.col_runs])
    if gather is not None:
        z = z.index_select(0, gather)
    products = {
        run.start: (_by_row(z, run, layout).mT @ _factor(b, run)).transpose(0, 1).flatten(1)
        for run in layout.row_runs
    }
    edge, parts = 0, []
    for start, part in products.items():
        parts += [x.new_zeros(x.shape[0], start - edge), part]
        edge = start + part.shape[1]
    parts.append(x.new_zeros(x.shape[0], layout.grid.shape[0] - edge))
    update = torch.cat([part for part in parts if part.shape[1]], dim=1)
    return update if onto is None else onto + update


def add_block_products(
    onto: Float[Tensor, "T m"] | None,
    x: Float[Tensor, "T n"],
    layout: BlockLayout,
    gather: Tensor | None,
    a: Sequence[Float[Tensor, "_ _"]],
    b: Sequence[Float[Tensor, "_ _"]],
) -> Float[Tensor, "T m"]:
    """Add x·ΔWᵀ to `onto` in place, or return it alone; ΔW_ij = B_ij·A_ij is never built.

    z_j = A_j·x_jᵀ for every block column j and y_i += z_iᵀ·B_i for every block row i, each one
    batched product over blocks of one size. The intermediate z holds T·Σ r_ij values: with equal
    ranks ρ = r/K that is K times LoRA's T·r, while the products cost the same. z keeps the
    tokens last, so block row i finds its slots at a constant distance and nothing is permuted.

    Parameters
    ----------
    onto : Tensor, shape (T, m), optional
        Contiguous; overwritten.
    x : Tensor, shape (T, n)
        Of the dtype of `onto` and of the factors.
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
    >>> add_block_products(torch.zeros(1, 4), torch.tensor([[1.0, 2.0]]), layout, None, a, b)
    tensor([[3., 3., 3., 3.]])
    """
    # The compiler plans memory by itself, from operations that it can see through.
    x = x.contiguous()
    if torch.compiler.is_compiling():
        return _plain(onto, x, layout, gather, a, b)
    return _AddBlockProducts.apply(onto, x, layout, gather, *a, *b)
