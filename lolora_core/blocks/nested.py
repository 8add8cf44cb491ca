"""Truncated decompositions of all ranks at once, as rank-one terms of 16-bit numbers."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Int16
from torch import Tensor

from lolora_core.blocks.grid import Grid
from lolora_core.blocks.rank_maps import RankMap, check_rank_map
from lolora_core.blocks.svd import BlockSVD

__all__ = ["NestedTerms", "nested_terms", "window_grid"]

#: Largest code of an entry; −32,768 is not used.
TOP = 2**15 - 1


class NestedTerms(NamedTuple):
    """Rank-one terms of every block: the first r of a block sum to its best rank-r fit.

    Blocks come row by row, the terms of a block by falling singular value, and in each term h
    codes of the left vector stand before w codes of the right one:
    σ·u·vᵀ ≈ scale · codes[:h] ⊗ codes[h:].

    Attributes
    ----------
    codes : ndarray of int16, shape (Σ_ij depth_ij·(h_i + w_j),)
    scales : ndarray of float32, shape (Σ_ij depth_ij,)
    """

    codes: Int16[np.ndarray, " q"]
    scales: Float32[np.ndarray, " t"]

    @property
    def nbytes(self) -> int:
        """Memory of both arrays, in bytes."""
        return self.codes.nbytes + self.scales.nbytes


def window_grid(grid: Grid, size: int) -> Grid:
    """Return the grid of windows of about size×size cells, none of which crosses a block.

    Every block side of h cells is cut into ⌈h/size⌉ windows whose sizes differ by at most one.

    Raises
    ------
    ValueError
        A size below 1.

    Examples
    --------
    >>> window_grid(Grid.regular((8, 6), 2), 2)
    Grid(row_edges=(0, 2, 4, 6, 8), col_edges=(0, 2, 3, 5, 6))
    """
    if size < 1:
        raise ValueError(f"size must be 1 or more; it is {size}")

    def cut(edges: tuple[int, ...]) -> tuple[int, ...]:
        found = [0]
        for start, end in pairwise(edges):
            inner = Grid.regular((end - start, 1), -(-(end - start) // size), 1)
            found += [start + edge for edge in inner.row_edges[1:]]
        return tuple(found)

    return Grid(cut(grid.row_edges), cut(grid.col_edges))


def _window_means(
    vectors: Float[Tensor, "b k n"], edges: tuple[int, ...], start: int
) -> Float[Tensor, "b k windows"]:
    """Average entries over the windows that lie in [start, start + n)."""
    n = vectors.shape[-1]
    inside = np.array([edge - start for edge in edges if start <= edge <= start + n])
    sizes = np.diff(inside)
    if (sizes == 1).all():
        return vectors
    owner = torch.as_tensor(np.repeat(np.arange(len(sizes)), sizes), device=vectors.device)
    sums = vectors.new_zeros(*vectors.shape[:-1], len(sizes)).index_add_(-1, owner, vectors)
    return sums / torch.as_tensor(sizes, device=vectors.device)


def _codes(
    vectors: Float[Tensor, "b k n"],
) -> tuple[Int[Tensor, "b k n"], Float[Tensor, "b k"]]:
    """Return 16-bit codes, and the largest magnitude of each vector, which the code TOP means."""
    largest = vectors.abs().amax(dim=-1)
    unit = torch.where(largest > 0, TOP / largest, 0.0)
    return (vectors * unit[..., None]).round().to(torch.int16), largest


def nested_terms(svd: BlockSVD, depths: RankMap, windows: Grid | None = None) -> NestedTerms:
    r"""Return the leading terms of the decomposition of every block as 16-bit codes.

    A vector's codes are round(32767·x/max|x|), so an entry is wrong by at most max|x|/65534. In
    float16, of the same size, the largest entries would be wrong by sixteen times as much; of the
    greys of a picture three to four times as many would differ, each by one level.

    Parameters
    ----------
    svd : BlockSVD
    depths : ndarray of int, shape (K_r, K_c)
        How many terms of each block.
    windows : Grid, optional
        Average the vectors over the windows of a `window_grid`. As averaging is linear, the terms
        then sum to the averages of the fit:
        mean(σ·u·vᵀ over a window) = σ·mean(u)·mean(v).

    Raises
    ------
    ValueError
        Depths of another shape than the grid's or above what was decomposed; windows that cross a
        block.

    Examples
    --------
    >>> from lolora_core.blocks.svd import block_svd
    >>> svd = block_svd(torch.diag(torch.tensor([2.0, 1.0])), Grid.regular((2, 2), 1))
    >>> terms = nested_terms(svd, np.array([[1]]))
    >>> abs(terms.codes), float(terms.scales[0] * 32767**2)
    (array([32767,     0, 32767,     0], dtype=int16), 2.0)
    """
    grid = svd.grid
    ranks, _ = check_rank_map(depths, grid, None)
    cells = window_grid(grid, 1) if windows is None else windows
    if not (
        set(grid.row_edges) <= set(cells.row_edges)
        and set(grid.col_edges) <= set(cells.col_edges)
        and cells.shape == grid.shape
    ):
        raise ValueError(f"windows must have every edge of the {grid.label} grid; they lack some")
    held: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}
    for group, u, s, vh, _ in svd.groups:
        wanted = ranks[group.rows, group.cols]
        top = int(wanted.max(initial=0))
        if top > s.shape[-1]:
            raise ValueError(f"depths ask for {top} terms of a block; {s.shape[-1]} are held")
        left = _window_means(u[..., :top].mT, cells.row_edges, int(group.row_starts[0]))
        right = _window_means(vh[:, :top], cells.col_edges, int(group.col_starts[0]))
        (left, left_top), (right, right_top) = _codes(left), _codes(right)
        tops = [t.numpy(force=True).astype(np.float64) for t in (s[:, :top], left_top, right_top)]
        scales = (np.prod(tops, axis=0) / TOP**2).astype(np.float32)
        codes = torch.cat([left, right], dim=-1).numpy(force=True)
        for at, (row, col, rank) in enumerate(zip(group.rows, group.cols, wanted, strict=True)):
            held[int(row), int(col)] = codes[at, :rank].ravel(), scales[at, :rank]
    empty = np.zeros(0, np.int16), np.zeros(0, np.float32)
    blocks = [held.get((i, j), empty) for i, j in np.ndindex(*grid.blocks)]
    codes, scales = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return NestedTerms(codes, scales)
