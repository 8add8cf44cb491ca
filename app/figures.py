"""Arrays and frames in, figures out; every colour and dash of the app is declared here."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from PIL import Image
from plotly.colors import get_colorscale, sample_colorscale

from lolora_core.grid import Grid

__all__ = [
    "FAMILY_COLOURS",
    "FAMILY_DASHES",
    "GREY",
    "LUTS",
    "METHOD_LINES",
    "Line",
    "curve_figure",
    "finish",
    "picture_png",
    "rank_map_figure",
    "spectrum_figure",
]

#: Okabe and Ito's palette, safe for the colour-blind; the dash says the same without colour.
FAMILY_COLOURS: Mapping[str, str] = {
    "global": "#0072B2",
    "diagonal": "#E69F00",
    "localized": "#009E73",
    "adaptive": "#CC79A7",
    "hybrid": "#D55E00",
}
FAMILY_DASHES: Mapping[str, str] = {
    "global": "solid",
    "diagonal": "dot",
    "localized": "dash",
    "adaptive": "dashdot",
    "hybrid": "longdash",
}
GREY = "#888888"


class Line(NamedTuple):
    """How a method's line is drawn."""

    colour: str
    dash: str
    width: float


#: The families' lines, and those of the other methods; PEFT's own layers are thinner.
METHOD_LINES: Mapping[str, Line] = {
    **{name: Line(FAMILY_COLOURS[name], FAMILY_DASHES[name], 2.5) for name in FAMILY_COLOURS},
    "full": Line("#56B4E9", "solid", 2.5),
    "frozen": Line(GREY, "solid", 2.5),
    "peft-lora": Line(FAMILY_COLOURS["global"], FAMILY_DASHES["global"], 1.2),
    "peft-gralora": Line(FAMILY_COLOURS["localized"], FAMILY_DASHES["localized"], 1.2),
}


def _lut(scale: str) -> bytes:
    colours = sample_colorscale(get_colorscale(scale), np.linspace(0, 1, 256), colortype="tuple")
    return np.round(np.array(colours) * 255).astype(np.uint8).tobytes()


#: 256×3 RGB tables: values and absolute error in cividis, signed error in purple–orange.
LUTS: Mapping[str, bytes] = {
    "values": _lut("cividis"),
    "absolute": _lut("cividis"),
    "signed": _lut("puor_r"),
}


def to_rgb(array: np.ndarray, value_range: tuple[float, float], image: bool) -> np.ndarray:
    """Return uint8 pixels, shape (m, n, 3): an image in its own colours, a matrix in cividis.

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
    return np.frombuffer(LUTS["values"], np.uint8).reshape(256, 3)[levels]


def _png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def picture_png(
    array: np.ndarray,
    value_range: tuple[float, float],
    *,
    image: bool,
    grid: Grid | None = None,
) -> bytes:
    """Return a PNG of a matrix, one pixel an entry; with `grid`, its inner borders over it."""
    pixels = to_rgb(array, value_range, image)
    if grid is not None:
        line = np.array([213, 94, 0], np.uint8)
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
        legend={"orientation": "h", "y": -0.22, "x": 0},
        hovermode="x unified",
    )
    return figure


def curve_figure(
    frame: pd.DataFrame,
    rank: int,
    parameters: int,
    points: Mapping[str, float],
    *,
    logarithmic: bool,
) -> go.Figure:
    """Draw relative error against parameters, a line a family, the floor, the current budget.

    Families in `points` are known at this budget only.
    """
    figure = go.Figure()
    for name, colour in FAMILY_COLOURS.items():
        if name in frame:
            figure.add_scatter(
                x=frame["parameters"],
                y=frame[name],
                name=name,
                mode="lines",
                line={"color": colour, "dash": FAMILY_DASHES[name], "width": 2.5},
                hovertemplate="%{y:.4f}",
            )
    figure.add_scatter(
        x=frame["parameters"],
        y=frame["floor"],
        name="Eckart–Young floor",
        mode="lines",
        line={"color": GREY, "width": 1},
        hovertemplate="%{y:.4f}",
    )
    for name, error in points.items():
        figure.add_scatter(
            x=[parameters],
            y=[error],
            name=name,
            mode="markers",
            marker={"color": FAMILY_COLOURS[name], "size": 11, "symbol": "diamond"},
            hovertemplate="%{y:.4f}",
        )
    figure.add_vline(
        x=parameters,
        line={"color": GREY, "width": 1, "dash": "dot"},
        annotation_text=f"r = {rank}",
        annotation_position="top right",
    )
    figure.update_xaxes(title="trainable parameters", rangemode="tozero")
    if logarithmic:
        positive = frame[[name for name in FAMILY_COLOURS if name in frame]].to_numpy()
        lowest = positive[positive > 1e-6].min(initial=1.0)
        figure.update_yaxes(
            title="relative error",
            type="log",
            range=[np.log10(lowest) - 0.1, 0.05],
            minor_dtick="D1",
        )
    else:
        figure.update_yaxes(title="relative error", range=[0, 1.02])
    return finish(figure, 380)


def rank_map_figure(ranks: np.ndarray, selected: tuple[int, int] | None) -> go.Figure:
    """Draw the ranks of the blocks over the grid; numbers where there is room."""
    rows, cols = ranks.shape
    figure = go.Figure(
        go.Heatmap(
            z=ranks,
            colorscale="cividis",
            zmin=0,
            zmax=max(1, int(ranks.max())),
            text=ranks if max(rows, cols) <= 16 else None,
            texttemplate="%{text}" if max(rows, cols) <= 16 else None,
            hovertemplate="block (%{y}, %{x}): rank %{z}<extra></extra>",
            xgap=1,
            ygap=1,
            colorbar={"title": "rank", "thickness": 12},
        )
    )
    if selected is not None:
        row, col = selected
        figure.add_shape(
            type="rect",
            x0=col - 0.5,
            x1=col + 0.5,
            y0=row - 0.5,
            y1=row + 0.5,
            line={"color": FAMILY_COLOURS["hybrid"], "width": 3},
        )
    tick = {"dtick": max(1, max(rows, cols) // 8), "showgrid": False}
    figure.update_xaxes(title="block column", constrain="domain", **tick)
    figure.update_yaxes(
        title="block row", autorange="reversed", scaleanchor="x", constrain="domain", **tick
    )
    finish(figure, 380)
    return figure.update_layout(hovermode="closest")


def spectrum_figure(values: np.ndarray, ranks: Mapping[str, int]) -> go.Figure:
    """Draw the singular values of one block, with the rank that each family gives it."""
    figure = go.Figure(
        go.Scatter(
            x=np.arange(1, len(values) + 1),
            y=values,
            name="singular values",
            mode="lines+markers",
            line={"color": GREY, "width": 1},
            marker={"color": GREY, "size": 5},
            hovertemplate="σ = %{y:.3g}",
        )
    )
    for name, rank in ranks.items():
        figure.add_vline(
            x=rank + 0.5,
            line={"color": FAMILY_COLOURS[name], "dash": FAMILY_DASHES[name], "width": 2.5},
        )
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="lines",
            name=f"{name}: {rank}",
            line={"color": FAMILY_COLOURS[name], "dash": FAMILY_DASHES[name], "width": 2.5},
        )
    figure.update_xaxes(title="number of the singular value", rangemode="tozero")
    kept = values[values > 1e-9 * values.max(initial=0)]
    figure.update_yaxes(title="singular value σ", type="log" if len(kept) else "linear")
    if len(kept):
        figure.update_yaxes(range=np.log10([kept.min() / 1.5, kept.max() * 1.5]).tolist())
    return finish(figure, 300)
