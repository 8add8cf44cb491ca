"""The two pictures of What if that answer the hand: painting, and rows and columns on the move."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from app.shared.charts import picture_png
from app.shared.settings import widget_value
from app.shared.style import FRAME
from app.views.what_if.sentences import BLOCKS_HINT, canvas_label, moving_label
from lolora_core import Grid
from lolora_core.explore.reorder import Reordering
from lolora_core.targets import Target

__all__ = ["moving_picture", "painting", "thinned"]

_FOLDER = Path(__file__).parent
#: Entries of a longer side are left out: more than the screen shows.
_LONGEST = 512


def _component(name: str) -> Any:
    parts = ("canvas.js", f"{name}.js")
    return st.components.v2.component(
        name,
        css=(_FOLDER / f"{name}.css").read_text(encoding="utf-8"),
        js="\n".join((_FOLDER / part).read_text(encoding="utf-8") for part in parts),
    )


_PAINTING, _MOVING = _component("painting"), _component("moving")


def _shares(edges: tuple[int, ...]) -> list[float]:
    return [edge / edges[-1] for edge in edges]


def _uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def shown(target: Target, array: np.ndarray) -> bytes:
    """Return a PNG of a matrix on the scale of a target, at most 512 to 1,023 entries a side."""
    down, across = (max(1, side // _LONGEST) for side in array.shape)
    return picture_png(
        array[::down, ::across], target.display_range, image=target.value_range is not None
    )


def painting(
    target: Target, grid: Grid, ranks: np.ndarray, *, key: str, on_stroke: Callable[[], None]
) -> None:
    """Draw the target with the grid and the painted ranks on it.

    Parameters
    ----------
    target : Target
        Of one channel.
    grid : Grid
    ranks : ndarray of int, shape (K_r, K_c)
    key : str
        In `on_stroke` its value is ``{"stroke": {"blocks": [[i, j], …], "add": n, "count": c}}``:
        the blocks that the brush went over, or with `add` one block that gets n ranks more.
    on_stroke : callable
    """
    held = (widget_value(key) or {}).get("stroke") or {}
    _PAINTING(
        key=key,
        data={
            "picture": _uri(shown(target, target.channels[0])),
            "shape": list(target.shape),
            "rowEdges": _shares(grid.row_edges),
            "colEdges": _shares(grid.col_edges),
            "ranks": ranks.tolist(),
            "limits": grid.max_ranks.tolist(),
            "costs": grid.costs.tolist(),
            "line": FRAME,
            "label": canvas_label(grid.label),
            "hint": BLOCKS_HINT,
            "count": int(held.get("count", 0)),
        },
        default={"stroke": None},
        on_stroke_change=on_stroke,
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
            "picture": _uri(shown(target, array)),
            "shape": [len(rows), len(cols)],
            "rows": rows.tolist(),
            "cols": cols.tolist(),
            "rowEdges": _shares(grid.row_edges),
            "colEdges": _shares(grid.col_edges),
            "line": FRAME,
            "label": moving_label(target.title, grid.label),
        },
    )
