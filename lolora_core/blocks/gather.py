"""Blocks of one shape out of a matrix, back into it, and their norms; never a loop over blocks."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from lolora_core.blocks.grid import BlockGroup, Grid

__all__ = ["block_norms", "gather_blocks", "scatter_blocks"]


def _block_index(group: BlockGroup, device: torch.device) -> tuple[Tensor, Tensor]:
    rows = group.row_starts[:, None] + np.arange(group.height)
    cols = group.col_starts[:, None] + np.arange(group.width)
    return (
        torch.as_tensor(rows, device=device)[:, :, None],
        torch.as_tensor(cols, device=device)[:, None, :],
    )


def _as_tiles(matrix: Float[Tensor, "m n"], group: BlockGroup) -> Tensor | None:
    """View the blocks as (rows, cols, h, w) where they tile a rectangle; indexing is 8× slower."""
    across = int((group.rows == group.rows[0]).sum())
    down = len(group.rows) // across
    top, left = int(group.row_starts[0]), int(group.col_starts[0])
    height, width = down * group.height, across * group.width
    at = np.arange(len(group.rows))
    tiled = (
        down * across == len(group.rows)
        and (group.row_starts == top + at // across * group.height).all()
        and (group.col_starts == left + at % across * group.width).all()
    )
    if not tiled:
        return None
    area = matrix[top : top + height, left : left + width]
    return area.unflatten(1, (across, -1)).unflatten(0, (down, -1)).transpose(1, 2)


def gather_blocks(matrix: Float[Tensor, "m n"], group: BlockGroup) -> Float[Tensor, "b h w"]:
    """Stack the blocks of a group.

    Examples
    --------
    >>> (group,) = Grid.regular((4, 6), 2).groups()
    >>> gather_blocks(torch.zeros(4, 6), group).shape
    torch.Size([4, 2, 3])
    """
    tiles = _as_tiles(matrix, group)
    if tiles is not None:
        return tiles.flatten(0, 1)
    return matrix[_block_index(group, matrix.device)]


def scatter_blocks(
    out: Float[Tensor, "m n"], group: BlockGroup, blocks: Float[Tensor, "b h w"]
) -> None:
    """Write the blocks of a group to their places in `out`; the inverse of `gather_blocks`.

    Examples
    --------
    >>> (group,) = Grid.regular((2, 2), 2).groups()
    >>> out = torch.zeros(2, 2)
    >>> scatter_blocks(out, group, torch.arange(4.0).reshape(4, 1, 1))
    >>> out
    tensor([[0., 1.],
            [2., 3.]])
    """
    tiles = _as_tiles(out, group)
    if tiles is not None:
        tiles.copy_(blocks.unflatten(0, tiles.shape[:2]))
    else:
        out[_block_index(group, out.device)] = blocks


def _accumulator(tensor: Tensor) -> torch.dtype:
    # Metal has no float64.
    return torch.float32 if tensor.device.type == "mps" else torch.float64


def block_norms(matrix: Float[Tensor, "m n"], grid: Grid) -> Float64[np.ndarray, "K_r K_c"]:
    """Return the Frobenius norm of every block, accumulated in float64.

    Examples
    --------
    >>> block_norms(torch.ones(4, 4), Grid.regular((4, 4), 2))
    array([[2., 2.],
           [2., 2.]])
    """
    norms = np.zeros(grid.blocks)
    for group in grid.groups():
        found = torch.linalg.vector_norm(
            gather_blocks(matrix, group), dim=(-2, -1), dtype=_accumulator(matrix)
        )
        norms[group.rows, group.cols] = found.numpy(force=True)
    return norms
