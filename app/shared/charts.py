"""What the figures of several pages share: pictures of matrices, the finish of a chart."""

from __future__ import annotations

import io

import numpy as np
import plotly.graph_objects as go
from PIL import Image
from plotly.colors import hex_to_rgb

from app.shared.style import FRAME, LUTS
from lolora_core.blocks.grid import Grid

__all__ = ["error_png", "finish", "picture_png"]


def to_rgb(
    array: np.ndarray, value_range: tuple[float, float], image: bool, lut: str = "values"
) -> np.ndarray:
    """Return uint8 pixels, shape (m, n, 3): an image as it is, a matrix in the colours of `LUTS`.

    Examples
    --------
    >>> to_rgb(np.array([[0.0, 1.0]]), (0.0, 1.0), image=True)[0].tolist()
    [[0, 0, 0], [255, 255, 255]]
    """
    low, high = value_range
    unit = np.clip((array - low) / ((high - low) or 1.0), 0, 1)
    levels = np.round(unit * 255).astype(np.uint8)
    if array.ndim == 3:
        return levels
    if image:
        return np.repeat(levels[..., None], 3, axis=-1)
    return np.frombuffer(LUTS[lut], np.uint8).reshape(256, 3)[levels]


def _png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def picture_png(
    array: np.ndarray,
    value_range: tuple[float, float],
    *,
    image: bool,
    lut: str = "values",
    grid: Grid | None = None,
) -> bytes:
    """Return a PNG of a matrix, one pixel an entry; with `grid`, its inner borders over it."""
    pixels = to_rgb(array, value_range, image, lut)
    if grid is not None:
        line = np.array(hex_to_rgb(FRAME), np.uint8)
        pixels = pixels.copy()
        pixels[list(grid.row_edges[1:-1])] = line
        pixels[:, list(grid.col_edges[1:-1])] = line
    return _png(pixels)


def error_png(error: np.ndarray, limit: float) -> bytes:
    """Return a PNG of a signed error on the scale −limit…limit, one pixel an entry."""
    flat = error if error.ndim == 2 else error.mean(axis=-1)
    unit = np.clip(flat / (2 * (limit or 1.0)) + 0.5, 0, 1)
    lut = np.frombuffer(LUTS["signed"], np.uint8).reshape(256, 3)
    return _png(lut[np.round(unit * 255).astype(np.uint8)])


def finish(figure: go.Figure, height: int) -> go.Figure:
    """Give a figure the margins and the legend that all share."""
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        # Below the title of the axis, whatever the height.
        legend={"orientation": "h", "y": -75 / (height - 90), "x": 0},
        hovermode="x unified",
    )
    return figure
