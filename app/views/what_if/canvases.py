"""The two pictures of What if that answer the hand: painting, and rows and columns on the move."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from cachetools import LRUCache, cached
from cachetools.keys import hashkey

from app.shared.charts import picture_png
from app.shared.components import ELEMENTS, component
from app.shared.scene import lut_of
from app.shared.settings import widget_value
from app.shared.style import FRAME
from app.views.what_if.sentences import BLOCKS_HINT, canvas_label, moving_label
from lolora_core import Grid
from lolora_core.explore.reorder import Reordering
from lolora_core.targets import Target

__all__ = ["moving_picture", "painting", "strokes", "thinned"]

_FOLDER = Path(__file__).parent
#: Entries of a longer side are left out: more than the screen shows.
_LONGEST = 512


def _component(name: str) -> Any:
    scripts = (ELEMENTS, _FOLDER / "canvas.js", _FOLDER / f"{name}.js")
    return component(name, *scripts, style=_FOLDER / f"{name}.css")


_PAINTING, _MOVING = _component("painting"), _component("moving")


def _shares(edges: tuple[int, ...]) -> list[float]:
    return [edge / edges[-1] for edge in edges]


def _picture(target: Target, array: np.ndarray, scale: tuple[float, float]) -> str:
    """Return a matrix in the colours of a target, with at most 512 to 1,023 entries a side."""
    down, across = (max(1, side // _LONGEST) for side in array.shape)
    png = picture_png(
        array[::down, ::across],
        scale,
        image=target.value_range is not None,
        lut=lut_of(target),
    )
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _target_key(target: Target, scale: tuple[float, float]) -> object:
    return hashkey(target.sha256, scale)


@cached(LRUCache(16), key=_target_key, condition=threading.Condition())
def _target_picture(target: Target, scale: tuple[float, float]) -> str:
    return _picture(target, target.channels[0], scale)


def _telling(target: Target) -> tuple[float, float]:
    """Return the range of nine entries in ten: rows on the move are told apart by common values."""
    if target.value_range:
        return target.value_range
    low, high = np.quantile(target.array, (0.05, 0.95))
    return (float(low), float(high)) if low < high else target.display_range


def strokes(key: str) -> list[dict[str, Any]]:
    """Return the strokes that the browser has not yet seen drawn, the latest last.

    Each has its number `count` and `blocks`, the [i, j] that the brush went over; or with `add`
    other than 0, one block that gets so many ranks more. Several come where the hand is faster
    than the server.
    """
    return (widget_value(key) or {}).get("strokes") or []


def painting(
    target: Target,
    grid: Grid,
    ranks: np.ndarray,
    rebuilt: np.ndarray,
    words: str,
    *,
    key: str,
    on_stroke: Callable[[], None],
) -> None:
    """Draw the target with the grid and the painted ranks on it, and beside it what they rebuild.

    Parameters
    ----------
    target : Target
        Of one channel.
    grid : Grid
    ranks : ndarray of int, shape (K_r, K_c)
    rebuilt : ndarray, shape (m, n)
    words : str
        What the rebuilt picture is.
    key : str
        Of the component; see `strokes`.
    on_stroke : callable
    """
    made = strokes(key)
    _PAINTING(
        key=key,
        data={
            "picture": _target_picture(target, target.display_range),
            "rebuilt": _picture(target, rebuilt, target.display_range),
            "words": words,
            "shape": list(target.shape),
            "rowEdges": _shares(grid.row_edges),
            "colEdges": _shares(grid.col_edges),
            "ranks": ranks.tolist(),
            "limits": grid.max_ranks.tolist(),
            "costs": grid.costs.tolist(),
            "line": FRAME,
            "label": canvas_label(grid.label),
            "hint": BLOCKS_HINT,
            "count": int(made[-1]["count"]) if made else 0,
        },
        default={"strokes": None},
        on_strokes_change=on_stroke,
    )


def thinned(order: np.ndarray, step: int) -> np.ndarray:
    """Return the order of every `step`-th row among themselves.

    Examples
    --------
    >>> thinned(np.array([3, 2, 1, 0]), 2).tolist()
    [1, 0]
    """
    kept = order[order % step == 0]
    return np.argsort(np.argsort(kept))


def moving_picture(target: Target, found: Reordering, *, key: str) -> None:
    """Draw the matrix with a handle and a button that move rows and columns to their places."""
    array, grid = target.channels[0], found.grid
    down, across = (max(1, side // _LONGEST) for side in array.shape)
    rows, cols = thinned(found.row_order, down), thinned(found.col_order, across)
    _MOVING(
        key=key,
        data={
            "token": f"{target.sha256} {grid.label} {found.budget}",
            "picture": _target_picture(target, _telling(target)),
            "shape": [len(rows), len(cols)],
            "rows": rows.tolist(),
            "cols": cols.tolist(),
            "rowEdges": _shares(grid.row_edges),
            "colEdges": _shares(grid.col_edges),
            "line": FRAME,
            "label": moving_label(target.title, grid.label),
        },
    )
