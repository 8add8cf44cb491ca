"""Singular values of all blocks of a grid without singular vectors, by Gram matrices."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from lolora_core.blocks.gather import gather_blocks
from lolora_core.blocks.grid import Grid
from lolora_core.blocks.spectra import Spectra
from lolora_core.common.threads import one_thread

__all__ = ["block_singular_values", "gram_spectra", "normalized"]

_PARTS = Lock()
# 2^±1000 and its products stay finite in float64.
_MAX_EXPONENT = 1000


def normalized(matrix: Float[Tensor, "m n"]) -> tuple[Float[Tensor, "m n"], float]:
    """Return the matrix in float64 over a power of two, and that power.

    The largest entry comes to lie between 1/2 and 1, so that squares neither overflow nor vanish;
    a power of two rounds nothing. On Metal, which has no float64, it stays float32.

    Examples
    --------
    >>> work, scale = normalized(torch.tensor([[6.0, 1.0]]))
    >>> work, scale
    (tensor([[0.7500, 0.1250]], dtype=torch.float64), 8.0)
    """
    dtype = torch.float32 if matrix.device.type == "mps" else torch.float64
    work = matrix.to(dtype)
    least, most = work.aminmax()
    exponent = math.frexp(max(-float(least), float(most)))[1]
    scale = math.ldexp(1.0, max(-_MAX_EXPONENT, min(exponent, _MAX_EXPONENT)))
    return work / scale, scale


def block_singular_values(blocks: Float[Tensor, "b h w"]) -> Float[Tensor, "b k"]:
    """Return the singular values of a batch, falling, k = min(h, w): √λ of X·Xᵀ or Xᵀ·X.

    The smaller of the two Gram matrices is taken. In float64 its eigenvalues are exact to about
    2·10⁻¹⁶ of the largest, so singular values end at about 10⁻⁸ of the largest. In float32 they
    would end at 3·10⁻⁴; there `torch.linalg.svdvals` is called instead.

    Examples
    --------
    >>> block_singular_values(torch.diag(torch.tensor([1.0, 2.0]).double())[None])
    tensor([[2., 1.]], dtype=torch.float64)
    """
    if blocks.dtype != torch.float64:
        return torch.linalg.svdvals(blocks)
    tall = blocks.shape[-2] > blocks.shape[-1]
    gram = blocks.mT @ blocks if tall else blocks @ blocks.mT
    return torch.linalg.eigvalsh(gram).clamp_min(0).flip(-1).sqrt()


def _in_parts(blocks: Float[Tensor, "b h w"]) -> Float[Tensor, "b k"]:
    """Share a batch among the cores: LAPACK takes one block after the other, however small."""
    parts = torch.get_num_threads()
    if parts == 1 or len(blocks) == 1:
        return block_singular_values(blocks)
    # The number of threads is the process's, so one batch at a time may change it.
    # Threads of the parts would wait for each other.
    with _PARTS, one_thread(), ThreadPoolExecutor(parts) as pool:
        return torch.cat(list(pool.map(block_singular_values, blocks.chunk(parts))))


def gram_spectra(work: Float[Tensor, "m n"], grid: Grid) -> Spectra:
    """Return the singular values of every block, one batched call a block shape.

    Parameters
    ----------
    work : Tensor, shape (m, n)
        In float64 and of moderate scale, see `normalized`.
    grid : Grid

    Examples
    --------
    >>> gram_spectra(torch.eye(4).double(), Grid.regular((4, 4), 2)).values[0, 0]
    array([1., 1.])
    """
    values: Float64[np.ndarray, "K_r K_c k"] = np.zeros((*grid.blocks, int(grid.max_ranks.max())))
    for group in grid.groups():
        blocks = gather_blocks(work, group)
        values_of = _in_parts if work.device.type == "cpu" else block_singular_values
        found = values_of(blocks)
        values[group.rows, group.cols, : found.shape[-1]] = found.double().numpy(force=True)
    return Spectra(grid, values, np.zeros(grid.blocks))
