"""Blocks of one shape out of a matrix, back into it, and their norms; never a loop over blocks."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from lolora_core.grid import BlockGroup, Grid

__all__ = ["block_norms", "gather_blocks", "scatter_blocks"]


def _block_index(group: BlockGroup, device: torch.device) -> tuple[Tensor, Tensor]:
    rows = group.row_starts[:, None] + np.arange(group.height)
    cols = group.col_starts[:, None] + np.arange(group.width)
    return (
        torch.as_tensor(rows, device=device)[:, :, None],
        torch.as_tensor(cols, device=device)[:, None, :],
    )


def _covers(group: BlockGroup, matrix: Float[Tensor, "m n"]) -> bool:
    """Return whether the blocks are the whole matrix; then slices do in place of an index."""
    return len(group.rows) * group.height * group.width == matrix.numel()


def _tiled(matrix: Float[Tensor, "m n"], group: BlockGroup) -> Float[Tensor, "K_r K_c h w"]:
    """View a matrix of equal blocks by block."""
    return matrix.unflatten(1, (-1, group.width)).unflatten(0, (-1, group.height)).transpose(1, 2)


def gather_blocks(matrix: Float[Tensor, "m n"], group: BlockGroup) -> Float[Tensor, "b h w"]:
    """Stack the blocks of a group.

    Examples
    --------
    >>> (group,) = Grid.regular((4, 6), 2).groups()
    >>> gather_blocks(torch.zeros(4, 6), group).shape
    torch.Size([4, 2, 3])
    """
    if len(group.rows) == 1:
        top, left = int(group.row_starts[0]), int(group.col_starts[0])
        return matrix[None, top : top + group.height, left : left + group.width]
    if _covers(group, matrix):
        return _tiled(matrix, group).flatten(0, 1)
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
    if len(group.rows) == 1:
        gather_blocks(out, group).copy_(blocks)
    elif _covers(group, out):
        tiles = _tiled(out, group)
        tiles.copy_(blocks.reshape(tiles.shape))
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
        blocks = _tiled(matrix, group) if _covers(group, matrix) else gather_blocks(matrix, group)
        found = torch.linalg.vector_norm(blocks, dim=(-2, -1), dtype=_accumulator(matrix))
        norms[group.rows, group.cols] = found.flatten().numpy(force=True)
    return norms
