"""What the figures of several pages share: pictures of matrices, the finish of a chart."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from plotly.colors import get_colorscale, hex_to_rgb

from app.shared.style import FRAME, LUTS
from lolora_core.blocks.grid import Grid

__all__ = ["Figure", "error_png", "finish", "picture_png"]


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


@cache
def _colours(scale: str) -> list[list[float | str]]:
    made: list[list[float | str]] = get_colorscale(scale)
    return made


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, value in more.items():
        if name == "title" and isinstance(value, str):
            into[name] = {"text": value}
        elif isinstance(value, Mapping):
            _merge(into.setdefault(name, {}), value)
        else:
            into[name] = value


def _sent(value: Any) -> Any:
    """Return a value as plotly.js reads it: arrays of numbers as bytes in base64."""
    if isinstance(value, dict):
        return {name: _sent(part) for name, part in value.items()}
    if isinstance(value, pd.Series):
        value = value.to_numpy()
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype.kind not in "iuf":
        return value.tolist()
    # JavaScript has no arrays of 64-bit integers.
    kind = "f8" if value.dtype.kind == "f" else "i4"
    data = base64.b64encode(value.astype(f"<{kind}").tobytes()).decode()
    shape = {"shape": ", ".join(map(str, value.shape))} if value.ndim > 1 else {}
    return {"dtype": kind, "bdata": data, **shape}


class Figure:
    """A figure of plotly as plain data, by the names and words of plotly's own.

    Those check every number and copy every part, which took most of the time of a page; tests check
    ours by theirs.

    Attributes
    ----------
    data : list of dict
        Traces.
    layout : dict

    Examples
    --------
    >>> figure = Figure()
    >>> figure.add_scatter(x=[1, 2], y=[3, 4])
    >>> figure.update_xaxes(title="step")
    >>> figure.data, figure.layout
    ([{'x': [1, 2], 'y': [3, 4], 'type': 'scatter'}], {'xaxis': {'title': {'text': 'step'}}})
    """

    def __init__(self) -> None:
        self.data: list[dict[str, Any]] = []
        self.layout: dict[str, Any] = {}

    def _add(self, kind: str, trace: Mapping[str, Any]) -> None:
        made: dict[str, Any] = {}
        _merge(made, trace)
        self.data.append({**made, "type": kind})

    def add_scatter(self, **trace: Any) -> None:
        """Add points, lines or words."""
        self._add("scatter", trace)

    def add_bar(self, **trace: Any) -> None:
        """Add bars."""
        self._add("bar", trace)

    def add_heatmap(self, **trace: Any) -> None:
        """Add coloured cells; a scale of colours may be named."""
        scale = trace["colorscale"]
        if isinstance(scale, str):
            trace["colorscale"] = _colours(scale)
        self._add("heatmap", trace)

    def add_shape(self, **shape: Any) -> None:
        """Add a line or a frame."""
        self.layout.setdefault("shapes", []).append(shape)

    def add_annotation(self, **annotation: Any) -> None:
        """Add words without an arrow."""
        self.layout.setdefault("annotations", []).append({**annotation, "showarrow": False})

    def add_vline(self, x: float, line: Mapping[str, Any], words: str = "") -> None:
        """Add a line from bottom to top, with words on the right of its end."""
        self.add_shape(
            type="line", x0=x, x1=x, xref="x", y0=0, y1=1, yref="y domain", line=dict(line)
        )
        if words:
            self.add_annotation(
                text=words, x=x, xref="x", xanchor="left", y=1, yref="y domain", yanchor="top"
            )

    def update_layout(self, **layout: Any) -> None:
        """Say more of the layout; what it says already stays where this says nothing."""
        _merge(self.layout, layout)

    def update_xaxes(self, **axis: Any) -> None:
        """Say more of the horizontal axis."""
        self.update_layout(xaxis=axis)

    def update_yaxes(self, **axis: Any) -> None:
        """Say more of the vertical axis."""
        self.update_layout(yaxis=axis)

    def sent(self, template: Mapping[str, Any]) -> dict[str, Any]:
        """Return the figure as it is sent, in the colours and fonts of a template of plotly."""
        return {
            "data": [_sent(trace) for trace in self.data],
            "layout": {**_sent(self.layout), "template": template},
        }


def finish(figure: Figure, height: int) -> Figure:
    """Give a figure the margins and the legend that all share."""
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        # Below the title of the axis, whatever the height.
        legend={"orientation": "h", "y": -75 / (height - 90), "x": 0},
        hovermode="x unified",
    )
    return figure
