"""The two batched products of a packed block low-rank update; nothing is permuted or copied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lolora_core.adapters.layout import BlockLayout, Run

__all__ = ["add_block_products"]


def _columns(matrix: Float[Tensor, "T n"], run: Run) -> Float[Tensor, "b T w"]:
    cut = matrix[:, run.start : run.start + run.blocks * run.side]
    return cut.unflatten(1, (run.blocks, run.side)).transpose(0, 1)


def _factor(pieces: Sequence[Tensor], run: Run) -> Float[Tensor, "b s w"]:
    rows = pieces[run.piece][run.offset : run.offset + run.blocks * run.slots]
    return rows.unflatten(0, (run.blocks, run.slots))


def _by_column(z: Float[Tensor, "slots T"], run: Run) -> Float[Tensor, "b s T"]:
    return z[run.slot : run.slot + run.blocks * run.slots].unflatten(0, (run.blocks, run.slots))


def _by_row(z: Float[Tensor, "slots T"], run: Run, layout: BlockLayout) -> Tensor:
    # Equal ranks: the slots of block row i are every K_r-th row of z, from i on.
    if layout.strided:
        rows = z.unflatten(0, (-1, layout.grid.blocks[0]))
        return rows[:, run.first : run.first + run.blocks].transpose(0, 1)
    return _by_column(z, run)


class _AddBlockProducts(torch.autograd.Function):
    """`out=` views let each product write straight into its place, which autograd cannot do."""

    @staticmethod
    def forward(
        ctx: Any,
        onto: Tensor,
        x: Tensor,
        layout: BlockLayout,
        gather: Tensor | None,
        *factors: Tensor,
    ) -> Tensor:
        a, b = factors[: len(layout.a_pieces)], factors[len(layout.a_pieces) :]
        z = x.new_empty(layout.slots, x.shape[0])
        for run in layout.col_runs:
            torch.bmm(_factor(a, run), _columns(x, run).mT, out=_by_column(z, run))
        if gather is not None:
            z = z.index_select(0, gather)
        for run in layout.row_runs:
            place = _columns(onto, run)
            torch.baddbmm(place, _by_row(z, run, layout).mT, _factor(b, run), out=place)
        ctx.layout = layout
        ctx.save_for_backward(x, z, gather, *factors)
        ctx.mark_dirty(onto)
        return onto

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = upstream
        x, z, gather, *factors = ctx.saved_tensors
        layout: BlockLayout = ctx.layout
        count = len(layout.a_pieces)
        a, b = factors[:count], factors[count:]
        dy = grad.contiguous()
        dz, db = torch.empty_like(z), [torch.empty_like(piece) for piece in b]
        for run in layout.row_runs:
            dy_run = _columns(dy, run)
            torch.bmm(_by_row(z, run, layout), dy_run, out=_factor(db, run))
            torch.bmm(_factor(b, run), dy_run.mT, out=_by_row(dz, run, layout))
        if gather is not None:
            dz = torch.empty_like(dz).index_copy_(0, gather, dz)
        da = [torch.empty_like(piece) for piece in a]
        dx = None
        if ctx.needs_input_grad[1]:
            # Block columns without any rank pass nothing back.
            full = sum(run.blocks for run in layout.col_runs) == layout.grid.blocks[1]
            dx = torch.empty_like(x) if full else torch.zeros_like(x)
        for run in layout.col_runs:
            dz_run = _by_column(dz, run)
            torch.bmm(dz_run, _columns(x, run), out=_factor(da, run))
            if dx is not None:
                torch.bmm(dz_run.mT, _factor(a, run), out=_columns(dx, run))
        return grad, dx, None, None, *da, *db


def _plain(
    onto: Tensor,
    x: Tensor,
    layout: BlockLayout,
    gather: Tensor | None,
    a: Sequence[Tensor],
    b: Sequence[Tensor],
) -> Tensor:
    z = torch.cat([(_factor(a, r) @ _columns(x, r).mT).flatten(0, 1) for r in layout.col_runs])
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
    parts.append(x.new_zeros(x.shape[0], onto.shape[1] - edge))
    return onto + torch.cat([part for part in parts if part.shape[1]], dim=1)


def add_block_products(
    onto: Float[Tensor, "T m"],
    x: Float[Tensor, "T n"],
    layout: BlockLayout,
    gather: Tensor | None,
    a: Sequence[Float[Tensor, "_ _"]],
    b: Sequence[Float[Tensor, "_ _"]],
) -> Float[Tensor, "T m"]:
    """Add x·ΔWᵀ to `onto` in place, with ΔW_ij = B_ij·A_ij; ΔW is never built.

    z_j = A_j·x_jᵀ for every block column j and y_i += z_iᵀ·B_i for every block row i, each one
    batched product over blocks of one size. The intermediate z holds T·Σ r_ij values: with equal
    ranks ρ = r/K that is K times LoRA's T·r, while the products cost the same. z keeps the
    tokens last, so block row i finds its slots at a constant distance and nothing is permuted.

    Parameters
    ----------
    onto : Tensor, shape (T, m)
        Contiguous; overwritten.
    x : Tensor, shape (T, n)
        Of the dtype of `onto`, as are the factors.
    layout : BlockLayout
    gather : Tensor of int, shape (slots,) or None
        `layout.gather` on the device of `x`.
    a, b : sequence of Tensor
        Of the shapes `layout.a_pieces` and `layout.b_pieces`.

    Examples
    --------
    >>> import numpy as np
    >>> from lolora_core.grid import Grid
    >>> layout = BlockLayout(Grid.regular((4, 2), 2), np.ones((2, 2), dtype=int))
    >>> a, b = [torch.ones(4, 1)], [torch.ones(4, 2)]
    >>> add_block_products(torch.zeros(1, 4), torch.tensor([[1.0, 2.0]]), layout, None, a, b)
    tensor([[3., 3., 3., 3.]])
    """
    # The compiler plans memory by itself, from operations that it can see through.
    if torch.compiler.is_compiling():
        return _plain(onto, x, layout, gather, a, b)
    return _AddBlockProducts.apply(onto, x, layout, gather, *a, *b)
