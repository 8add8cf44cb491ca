"""How the residual of a decomposition of the whole matrix lies over the blocks of a grid."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from lolora_core.blocks.gather import block_norms
from lolora_core.blocks.grid import Grid
from lolora_core.blocks.svd import BlockSVD

__all__ = ["residual_energies"]


def residual_energies(
    matrix: Float[Tensor, "m n"], svd: BlockSVD, grid: Grid, depth: int
) -> Float64[np.ndarray, "depth_plus_1 K_r K_c"]:
    r"""Return ‖block of W − Ŵ_r‖²_F on a grid, where Ŵ_r keeps r terms of the whole W, r = 0…depth.

    Without a dense residual: with E = W − Ŵ_{r−1} and the parts u, v of the r-th vectors that lie
    in a block, the block's energy changes by −2σ·uᵀEv + σ²·‖u‖²·‖v‖².

    Parameters
    ----------
    matrix : Tensor, shape (m, n)
        W.
    svd : BlockSVD
        Of W on the 1×1 grid.
    grid : Grid
    depth : int

    Raises
    ------
    ValueError
        A decomposition on another grid than 1×1, or of fewer than `depth` terms.

    Examples
    --------
    >>> from lolora_core.blocks.svd import block_svd
    >>> w = torch.diag(torch.tensor([2.0, 1.0]))
    >>> svd = block_svd(w, Grid.regular((2, 2), 1))
    >>> residual_energies(w, svd, Grid.regular((2, 2), 2), 2).round(6)[:, [0, 1], [0, 1]]
    array([[4., 1.],
           [0., 1.],
           [0., 0.]])
    """
    if svd.grid.blocks != (1, 1):
        raise ValueError(f"svd must be that of the whole matrix; its grid is {svd.grid.label}")
    (_, u, s, vh, _) = svd.groups[0]
    if depth > s.shape[-1]:
        raise ValueError(f"depth is {depth}; {s.shape[-1]} terms are held")
    w, left, sigma, right = (
        part.numpy(force=True).astype(np.float64)
        for part in (matrix, u[0, :, :depth], s[0, :depth], vh[0, :depth])
    )
    rows = [slice(*pair) for pair in zip(grid.row_edges, grid.row_edges[1:], strict=False)]
    cols = [slice(*pair) for pair in zip(grid.col_edges, grid.col_edges[1:], strict=False)]
    starts = np.array(grid.col_edges[:-1])
    # uᵀWv of every term in every block, and the inner products of the terms' parts.
    met = np.stack(
        [np.add.reduceat((left[at].T @ w[at]) * right, starts, axis=1) for at in rows], axis=1
    )
    lefts = np.stack([left[at].T @ left[at] for at in rows])
    rights = np.stack([right[:, at] @ right[:, at].T for at in cols])
    energies = np.empty((depth + 1, *grid.blocks))
    energies[0] = np.square(block_norms(torch.from_numpy(w), grid))
    for r in range(depth):
        earlier = (lefts[:, r, :r] * sigma[:r]) @ rights[:, r, :r].T
        own = np.outer(lefts[:, r, r], rights[:, r, r])
        energies[r + 1] = energies[r] - 2 * sigma[r] * (met[r] - earlier) + sigma[r] ** 2 * own
    return np.maximum(energies, 0.0)
