"""How a matrix is cut into blocks, and what a rank costs in each of them."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

__all__ = [
    "BlockGroup",
    "Grid",
    "GridLike",
    "all_budgets",
    "budget_for_rank",
    "divisor_grids",
]


class BlockGroup(NamedTuple):
    """Blocks of one shape, so that one batched call serves them all.

    Attributes
    ----------
    rows, cols : ndarray of int, shape (b,)
        Position of each block in the grid.
    row_starts, col_starts : ndarray of int, shape (b,)
        First matrix row and column of each block.
    height, width : int
        Shape of every block of the group.
    """

    rows: Int[np.ndarray, " b"]
    cols: Int[np.ndarray, " b"]
    row_starts: Int[np.ndarray, " b"]
    col_starts: Int[np.ndarray, " b"]
    height: int
    width: int


def _check_edges(edges: Sequence[int], name: str) -> tuple[int, ...]:
    values = tuple(operator.index(edge) for edge in edges)
    if len(values) < 2 or values[0] != 0 or any(a >= b for a, b in pairwise(values)):
        raise ValueError(
            f"{name} must start at 0 and rise strictly to the side of the matrix; it is {values}"
        )
    return values


def _regular_edges(size: int, parts: int) -> tuple[int, ...]:
    small, larger = divmod(size, parts)
    sizes = [small + 1] * larger + [small] * (parts - larger)
    return (0, *np.cumsum(sizes).tolist())


@dataclass(frozen=True)
class Grid:
    """A cut of an m×n matrix into K_r×K_c blocks; block (i, j) is h_i×w_j.

    Parameters
    ----------
    row_edges, col_edges : sequence of int
        Strictly rising, from 0 to m and from 0 to n.

    Raises
    ------
    ValueError
        Edges that do not start at 0 or do not rise strictly.

    Examples
    --------
    >>> grid = Grid(row_edges=(0, 3, 10), col_edges=(0, 5, 9))
    >>> grid.shape, grid.blocks
    ((10, 9), (2, 2))
    >>> grid.costs
    array([[ 8,  7],
           [12, 11]])
    """

    row_edges: tuple[int, ...]
    col_edges: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "row_edges", _check_edges(self.row_edges, "row_edges"))
        object.__setattr__(self, "col_edges", _check_edges(self.col_edges, "col_edges"))

    @classmethod
    def regular(cls, shape: Sequence[int], rows: int, cols: int | None = None) -> Grid:
        """Cut `shape` into rows×cols blocks whose sides differ by at most one, larger first.

        Parameters
        ----------
        shape : (int, int)
            m and n.
        rows, cols : int
            Number of block rows and block columns; `cols` defaults to `rows`.

        Raises
        ------
        ValueError
            Fewer than one block, or more blocks than the matrix has rows or columns.

        Examples
        --------
        >>> Grid.regular((10, 8), rows=3, cols=2).row_sizes
        array([4, 3, 3])
        """
        m, n = _check_shape(shape)
        counts = (operator.index(rows), operator.index(rows if cols is None else cols))
        for count, size, word in zip(counts, (m, n), ("rows", "columns"), strict=True):
            if not 1 <= count <= size:
                raise ValueError(
                    f"grid {counts[0]}×{counts[1]} does not fit a {m}×{n} matrix: "
                    f"the number of block {word} must be between 1 and {size}"
                )
        return cls(_regular_edges(m, counts[0]), _regular_edges(n, counts[1]))

    @classmethod
    def resolve(cls, grid: GridLike, shape: Sequence[int]) -> Grid:
        """Turn an int K, a pair (K_r, K_c) or a Grid into a Grid of a matrix of `shape`.

        Raises
        ------
        ValueError
            A Grid of another shape, or a grid that does not fit.
        TypeError
            Anything else.

        Examples
        --------
        >>> Grid.resolve(2, (4, 6)) == Grid.resolve((2, 2), (4, 6))
        True
        """
        m, n = _check_shape(shape)
        if isinstance(grid, Grid):
            if grid.shape != (m, n):
                raise ValueError(
                    f"grid is for a {grid.shape[0]}×{grid.shape[1]} matrix; the matrix is {m}×{n}"
                )
            return grid
        if isinstance(grid, tuple | list):
            if len(grid) != 2:
                raise ValueError(f"grid must be K, (K_r, K_c) or a Grid; it is {grid!r}")
            return cls.regular((m, n), *grid)
        try:
            return cls.regular((m, n), operator.index(grid))
        except TypeError:
            raise TypeError(f"grid must be K, (K_r, K_c) or a Grid; it is {grid!r}") from None

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n) of the matrix."""
        return self.row_edges[-1], self.col_edges[-1]

    @property
    def blocks(self) -> tuple[int, int]:
        """(K_r, K_c): the number of block rows and block columns."""
        return len(self.row_edges) - 1, len(self.col_edges) - 1

    @cached_property
    def row_sizes(self) -> Int[np.ndarray, " K_r"]:
        """Heights h_i of the block rows, in matrix rows."""
        return np.diff(self.row_edges)

    @cached_property
    def col_sizes(self) -> Int[np.ndarray, " K_c"]:
        """Widths w_j of the block columns, in matrix columns."""
        return np.diff(self.col_edges)

    @cached_property
    def costs(self) -> Int[np.ndarray, "K_r K_c"]:
        """Parameters of one rank in each block, h_i + w_j."""
        return self.row_sizes[:, None] + self.col_sizes[None, :]

    @cached_property
    def max_ranks(self) -> Int[np.ndarray, "K_r K_c"]:
        """Full rank of each block, min(h_i, w_j)."""
        return np.minimum(self.row_sizes[:, None], self.col_sizes[None, :])

    @property
    def label(self) -> str:
        """The grid in words, e.g. ``"8×8"``."""
        return f"{self.blocks[0]}×{self.blocks[1]}"

    def whole(self) -> Grid:
        """Return the 1×1 grid of the same matrix."""
        return Grid((0, self.shape[0]), (0, self.shape[1]))

    def block(self, row: int, col: int) -> tuple[slice, slice]:
        """Return the slices that cut block (row, col) out of the matrix.

        Examples
        --------
        >>> Grid.regular((6, 6), 2).block(1, 0)
        (slice(3, 6, None), slice(0, 3, None))
        """
        return (
            slice(self.row_edges[row], self.row_edges[row + 1]),
            slice(self.col_edges[col], self.col_edges[col + 1]),
        )

    def groups(self, wanted: Bool[np.ndarray, "K_r K_c"] | None = None) -> tuple[BlockGroup, ...]:
        """Gather the blocks by shape; a regular grid has at most four groups.

        Parameters
        ----------
        wanted : ndarray of bool, shape (K_r, K_c), optional
            Leave out the blocks that are False.

        Examples
        --------
        >>> [(g.height, g.width, len(g.rows)) for g in Grid.regular((5, 5), 2).groups()]
        [(2, 2, 1), (2, 3, 1), (3, 2, 1), (3, 3, 1)]
        """
        keep = np.ones(self.blocks, dtype=bool) if wanted is None else wanted
        heights, high = np.unique(self.row_sizes, return_inverse=True)
        widths, wide = np.unique(self.col_sizes, return_inverse=True)
        rows, cols = np.nonzero(keep)
        kinds = high[rows] * len(widths) + wide[cols]
        order = np.argsort(kinds, kind="stable")
        found = []
        for same in np.split(order, np.flatnonzero(np.diff(kinds[order])) + 1):
            if len(same):
                i, j = rows[same], cols[same]
                starts = np.asarray(self.row_edges)[i], np.asarray(self.col_edges)[j]
                height, width = int(heights[high[i[0]]]), int(widths[wide[j[0]]])
                found.append(BlockGroup(i, j, *starts, height, width))
        return tuple(found)


#: What `grid=` takes: K, (K_r, K_c) or a Grid.
GridLike = int | tuple[int, int] | list[int] | Grid


def _check_shape(shape: Sequence[int]) -> tuple[int, int]:
    m, n = (operator.index(side) for side in shape)
    if m < 1 or n < 1:
        raise ValueError(f"shape must have positive sides; it is ({m}, {n})")
    return m, n


def budget_for_rank(shape: Sequence[int], rank: int) -> int:
    """Return the parameters of a global low-rank update of the given rank, r·(m + n).

    Parameters
    ----------
    shape : (int, int)
        m and n.
    rank : int
        Equivalent rank, 0 or more.

    Raises
    ------
    ValueError
        A negative rank.

    Examples
    --------
    >>> budget_for_rank((512, 512), 32)
    32768
    """
    m, n = _check_shape(shape)
    value = operator.index(rank)
    if value < 0:
        raise ValueError(f"rank must be 0 or more; it is {value}")
    return value * (m + n)


def divisor_grids(
    shape: Sequence[int], limit: int, *, rectangular: bool = False
) -> tuple[tuple[int, int], ...]:
    """Return the grids up to `limit` a side that cut a matrix into equal blocks.

    Parameters
    ----------
    shape : (int, int)
        m and n.
    limit : int
        Largest number of block rows and of block columns, 1 or more.
    rectangular : bool
        All pairs of a divisor of m and a divisor of n; otherwise K×K where K divides both.

    Raises
    ------
    ValueError
        A limit below 1.

    Examples
    --------
    >>> divisor_grids((12, 8), 4)
    ((1, 1), (2, 2), (4, 4))
    >>> divisor_grids((3, 2), 4, rectangular=True)
    ((1, 1), (1, 2), (3, 1), (3, 2))
    """
    m, n = _check_shape(shape)
    top = operator.index(limit)
    if top < 1:
        raise ValueError(f"limit must be 1 or more; it is {top}")
    rows, cols = ([k for k in range(1, min(top, side) + 1) if side % k == 0] for side in (m, n))
    if rectangular:
        return tuple((r, c) for r in rows for c in cols)
    return tuple((k, k) for k in rows if k in cols)


def all_budgets(shape: Sequence[int]) -> Int[np.ndarray, " q"]:
    """Return the budgets of every integer equivalent rank r = 0…⌊mn/(m + n)⌋, at least 0 and 1.

    Beyond mn/(m + n) a low-rank product has more parameters than the matrix itself.

    Examples
    --------
    >>> all_budgets((4, 4))
    array([ 0,  8, 16])
    """
    m, n = _check_shape(shape)
    return np.arange(max(1, m * n // (m + n)) + 1, dtype=np.int64) * (m + n)
