"""The paint box: a rank map as text, and the strokes that change it. No streamlit."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

import numpy as np

__all__ = ["BRUSHES", "brush", "from_text", "stroke", "to_text"]

#: What a click paints; `block` is the clicked one alone.
BRUSHES = ("block", "row", "column", "diagonal", "border", "all")
_PART = re.compile(r"(\d{1,4})(?:x(\d{1,4}))?")


def to_text(ranks: np.ndarray) -> str:
    """Write a rank map as text for a link: rows joined by "_", runs as rank×length.

    Examples
    --------
    >>> to_text(np.array([[5, 5, 5], [0, 1, 2]]))
    '5x3_0.1.2'
    """
    lines = []
    for row in ranks:
        ends = np.flatnonzero(np.diff(row, append=-1)) + 1
        lengths = np.diff(ends, prepend=0)
        values = row[ends - 1]
        lines.append(
            ".".join(
                f"{rank}x{n}" if n > 1 else str(rank)
                for rank, n in zip(values, lengths, strict=True)
            )
        )
    return "_".join(lines)


def from_text(text: str, shape: tuple[int, int], limits: np.ndarray) -> np.ndarray:
    """Read what `to_text` wrote.

    Parameters
    ----------
    text : str
    shape : (int, int)
        Of the rank map, (K_r, K_c).
    limits : ndarray of int, shape (K_r, K_c)
        Full rank of each block.

    Raises
    ------
    ValueError
        Not such a text, of another grid, or a rank above the full rank of its block.

    Examples
    --------
    >>> from_text("2x2_0.1", (2, 2), np.full((2, 2), 4)).tolist()
    [[2, 2], [0, 1]]
    """
    # Each block takes four digits and a separator at most.
    if len(text) > 6 * math.prod(shape) + 10:
        raise ValueError(
            f"this rank map has {len(text):,} characters; that is too many for "
            f"{shape[0]}×{shape[1]} blocks"
        )
    rows = []
    for line in text.strip().split("_"):
        row: list[int] = []
        for part in line.split("."):
            found = _PART.fullmatch(part)
            if found is None:
                raise ValueError(f"“{part[:20]}” is neither a rank nor a run such as 5x3")
            row += [int(found[1])] * min(int(found[2] or 1), shape[1] + 1)
        rows.append(row)
    sizes = {len(row) for row in rows}
    if len(rows) != shape[0] or sizes != {shape[1]}:
        across = "×".join(map(str, sorted(sizes)))
        raise ValueError(
            f"this rank map is {len(rows)} rows of {across}; the grid is {shape[0]}×{shape[1]}"
        )
    ranks = np.array(rows, dtype=np.int64)
    if (ranks > limits).any():
        i, j = np.argwhere(ranks > limits)[0]
        raise ValueError(
            f"rank {ranks[i, j]} of block ({i}, {j}) is above its full rank, {limits[i, j]}"
        )
    return ranks


def brush(
    ranks: np.ndarray, kind: str, block: tuple[int, int], rank: int, limits: np.ndarray
) -> np.ndarray:
    """Return the map after one stroke; no block gets more than its full rank.

    Parameters
    ----------
    ranks : ndarray of int, shape (K_r, K_c)
    kind : str
        One of `BRUSHES`.
    block : (int, int)
        Where the stroke starts; `diagonal` goes through it, `border` and `all` ignore it.
    rank : int
        What the painted blocks get.
    limits : ndarray of int, shape (K_r, K_c)
        Full rank of each block.

    Examples
    --------
    >>> brush(np.zeros((3, 3), dtype=int), "diagonal", (1, 1), 2, np.full((3, 3), 9)).tolist()
    [[2, 0, 0], [0, 2, 0], [0, 0, 2]]
    """
    row, col = np.indices(ranks.shape)
    i, j = block
    wanted = {
        "block": (row == i) & (col == j),
        "row": row == i,
        "column": col == j,
        "diagonal": row - col == i - j,
        "border": (row % (ranks.shape[0] - 1 or 1) == 0) | (col % (ranks.shape[1] - 1 or 1) == 0),
        "all": np.ones(ranks.shape, dtype=bool),
    }[kind]
    return np.where(wanted, np.minimum(rank, limits), ranks)


def stroke(
    ranks: np.ndarray,
    kind: str,
    blocks: Iterable[tuple[int, int]],
    rank: int,
    limits: np.ndarray,
) -> np.ndarray:
    """Return the map after a brush has gone over some blocks; see `brush`.

    Examples
    --------
    >>> empty, limits = np.zeros((2, 2), dtype=int), np.full((2, 2), 9)
    >>> stroke(empty, "block", [(0, 0), (1, 1)], 3, limits).tolist()
    [[3, 0], [0, 3]]
    """
    for block in blocks:
        ranks = brush(ranks, kind, block, rank, limits)
    return ranks
