"""The structure of an approximation as a drawing: factors in true proportion, area = parameters."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from itertools import accumulate

from app.shared.style import GREY
from lolora_core.blocks.approximation import Approximation
from lolora_core.blocks.grid import Grid
from lolora_core.blocks.rank_maps import RankMap

__all__ = ["drawing", "longest_side", "source"]

#: Between two terms, as a share of the drawing's height.
_GAP = 0.12


def _margins(ranks: RankMap) -> tuple[list[int], list[int]]:
    """Return the room for the factors: above every block row, and left of every block column."""
    return ranks.max(axis=1).tolist(), ranks.max(axis=0).tolist()


def _size(grid: Grid, ranks: RankMap) -> tuple[int, int]:
    above, left = _margins(ranks)
    return grid.shape[1] + sum(left), grid.shape[0] + sum(above)


def _terms(found: Approximation) -> Sequence[tuple[Grid, RankMap]]:
    # Of a budget that stores nothing the empty blocks are drawn.
    return found.terms or ((found.grid, found.rank_map),)


def longest_side(found: Approximation) -> int:
    """Return the longest side of any of its terms as drawn, in entries of the matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from lolora_core import approximate
    >>> longest_side(approximate(np.eye(8), "localized", budget=32, grid=2))
    10
    """
    return max(max(_size(grid, ranks)) for grid, ranks in _terms(found))


def _rectangle(x: float, y: float, width: float, height: float) -> str:
    return f"M{x:g} {y:g}h{width:g}v{height:g}h-{width:g}z" if width and height else ""


def _term(grid: Grid, ranks: RankMap, offset: float) -> tuple[str, str, str]:
    """Return the outlines of the blocks, of the factors B and of the factors A."""
    above, left = _margins(ranks)
    tops = accumulate([0, *(a + h for a, h in zip(above, grid.row_sizes, strict=True))])
    starts = accumulate([0, *(a + w for a, w in zip(left, grid.col_sizes, strict=True))])
    rows = list(zip(tops, above, grid.row_sizes.tolist(), strict=False))
    cols = list(zip(starts, left, grid.col_sizes.tolist(), strict=False))
    blocks, tall, wide = [], [], []
    for (top, over, height), line in zip(rows, ranks.tolist(), strict=True):
        for (start, beside, width), rank in zip(cols, line, strict=True):
            x, y = offset + start + beside, top + over
            blocks.append(_rectangle(x, y, width, height))
            tall.append(_rectangle(x - rank, y, rank, height))
            wide.append(_rectangle(x, y - rank, width, rank))
    return "".join(blocks), "".join(tall), "".join(wide)


def drawing(found: Approximation, colour: str, *, scale: float) -> str:
    """Return an SVG: every block with its B at its left and its A above it.

    The coloured area is Σ r_ij·(h_i + w_j) square units, the number of parameters, so two
    structures of one budget are coloured equally much.

    Parameters
    ----------
    found : Approximation
    colour : str
        Of the factors.
    scale : float
        Pixels for each entry of the matrix; one scale for all that are compared.

    Examples
    --------
    >>> import numpy as np
    >>> from lolora_core import approximate
    >>> found = approximate(np.eye(8), "global", budget=16, grid=2)
    >>> drawing(found, "blue", scale=2).split(">")[2]
    '<path d="M0 1h1v8h-1z" fill="blue"/'
    """
    sizes = [_size(grid, ranks) for grid, ranks in _terms(found)]
    height = max(size[1] for size in sizes)
    width = sum(size[0] for size in sizes) + _GAP * height * (len(sizes) - 1)
    parts, offset = [], 0.0
    for (grid, ranks), size in zip(_terms(found), sizes, strict=True):
        blocks, tall, wide = _term(grid, ranks, offset)
        parts.append(
            f'<path d="{blocks}" fill="{GREY}" fill-opacity="0.25"/>'
            f'<path d="{tall}" fill="{colour}"/><path d="{wide}" fill="{colour}" '
            'fill-opacity="0.7"/>'
        )
        offset += size[0] + _GAP * height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width * scale:.1f}" height="{height * scale:.1f}">{"".join(parts)}</svg>'
    )


def source(svg: str) -> str:
    """Return an SVG as the source of an image; what `st.html` lets through holds no SVG itself."""
    return f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"
