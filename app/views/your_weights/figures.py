"""Figures of Your weights: error against budget; layers × kinds, who wins and by how much."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from plotly.colors import get_colorscale, sample_colorscale

from app.shared.cells import cell_axes, cell_targets, frame_cell, legend_square
from app.shared.charts import Figure, finish
from app.shared.style import FAMILY_LINES, GREY, MARKER, RATIOS, ink
from app.shared.words import in_figure
from lolora_core import FAMILIES
from lolora_core.checkpoints.columns import error_columns
from lolora_core.explore.compare import TIE
from lolora_core.families import REFERENCE

__all__ = ["marked", "pair_figure", "ratio_figure", "structure_figure"]

#: The scale of ratios ends at this factor, up and down.
LARGEST_RATIO = 4.0


def marked(frame: pd.DataFrame) -> pd.DataFrame:
    """Return where each matrix of a survey stands on the map, and what is written there.

    Returns
    -------
    DataFrame
        name, layer (text, "none" without one), kind, mark (the family that leads, "tie", or
        "unchanged"), best_error, error_global, other (the best family with blocks), other_error
        and ratio (other_error/error_global; NaN where LoRA is exact).

    Examples
    --------
    >>> found = marked(pd.DataFrame({"name": ["h.0.q.weight"], "layer": [0], "kind": ["q"],
    ...     "update_norm": [1.0], "error_global": [0.5], "error_adaptive_2x2": [0.25]}))
    >>> found[["mark", "other", "ratio"]].values.tolist()
    [['adaptive', 'adaptive', 0.5]]
    """
    named = error_columns(frame)
    columns = [c for c, family in named.items() if not FAMILIES[family].spans_whole]
    errors = frame[columns].to_numpy(dtype=float).reshape(len(frame), len(columns))
    lora = frame["error_global"].to_numpy(dtype=float)
    padded = np.column_stack([errors, np.full(len(frame), np.inf)])
    padded = np.where(np.isnan(padded), np.inf, padded)
    at = padded.argmin(1)
    other = np.array([*(named[c] for c in columns), "none fits"])[at]
    lowest = padded.min(1)
    mark = np.where(
        np.abs(lowest - lora) <= TIE, "tie", np.where(lowest < lora, other, REFERENCE.name)
    )
    mark = np.where(frame["update_norm"].to_numpy() > 0, mark, "unchanged")
    known = np.isfinite(lowest) & (lora > TIE)
    ratio = np.divide(lowest, lora, out=np.full(len(frame), np.nan), where=known)
    found = pd.DataFrame(
        {
            "name": frame["name"].astype(str).to_numpy(),
            "layer": ["none" if pd.isna(layer) else str(layer) for layer in frame["layer"]],
            "kind": frame["kind"].astype(str).to_numpy(),
            "mark": mark,
            "best_error": np.minimum(lowest, lora),
            "error_global": lora,
            "other": other,
            "other_error": np.where(np.isfinite(lowest), lowest, np.nan),
            "ratio": ratio,
        }
    )
    if found.duplicated(["layer", "kind"]).any():
        # An encoder and a decoder number their layers alike.
        found["kind"] = [
            re.sub(r"(^|[.-])\d+(?=[.-]|$)", r"\1*", name.removesuffix(".weight"), count=1)
            for name in found["name"]
        ]
    return found


def _short(text: str) -> str:
    return in_figure(text if len(text) <= 28 else f"…{text[-27:]}")


def _places(marks: pd.DataFrame) -> tuple[list[str], list[str], np.ndarray, np.ndarray]:
    layers, kinds = list(dict.fromkeys(marks["layer"])), list(dict.fromkeys(marks["kind"]))
    row = np.array([layers.index(layer) for layer in marks["layer"]])
    col = np.array([kinds.index(kind) for kind in marks["kind"]])
    return layers, kinds, row, col


def _finish(
    figure: Figure, marks: pd.DataFrame, picked: str, places: tuple[list[str], list[str]]
) -> Figure:
    _, _, row, col = _places(marks)
    custom = marks[["name", "mark", "best_error", "error_global", "other", "other_error"]]
    custom = custom.assign(shown=[in_figure(name) for name in marks["name"]])
    cell_targets(
        figure,
        col,
        row,
        custom.fillna(-1.0).to_numpy(),
        "%{customdata[6]}<br>global: error %{customdata[3]:.4f}<br>"
        "%{customdata[4]}: error %{customdata[5]:.4f}<extra></extra>",
    )
    at = np.flatnonzero(marks["name"] == picked)
    if len(at):
        frame_cell(figure, int(row[at[0]]), int(col[at[0]]))
    figure.update_xaxes(tickangle=-45)
    figure.update_yaxes(title="layer")
    height = 210 + 34 * max(len(places[0]), 2)
    down, across = ([_short(one) for one in named] for named in places)
    cell_axes(figure, down, across, height=height)
    figure.update_layout(legend={"y": 1.02, "yanchor": "bottom"})
    return figure


def structure_figure(marks: pd.DataFrame, picked: str) -> Figure:
    """Draw which family leads on each matrix, layers × kinds: colour and letter.

    Parameters
    ----------
    marks : DataFrame
        From `marked`.
    picked : str
        The matrix that carries a frame.
    """
    layers, kinds, row, col = _places(marks)
    figure = Figure()
    letters = {n: f.letter for n, f in FAMILIES.items()} | {"tie": "=", "unchanged": "·"}
    for name in [n for n in letters if (marks["mark"] == n).any()]:
        own = (marks["mark"] == name).to_numpy()
        colour = FAMILY_LINES[name].colour if name in FAMILY_LINES else GREY
        z = np.full((len(layers), len(kinds)), np.nan)
        text = np.full(z.shape, "", dtype=object)
        z[row[own], col[own]], text[row[own], col[own]] = 1.0, letters[name]
        figure.add_heatmap(
            z=z,
            zmin=0,
            zmax=1,
            colorscale=[[0, colour], [1, colour]],
            showscale=False,
            text=text,
            texttemplate="%{text}",
            textfont={"color": ink(colour)},
            xgap=2,
            ygap=2,
            hoverinfo="skip",
        )
        legend_square(figure, letters[name], name, colour)
    return _finish(figure, marks, picked, (layers, kinds))


def _factor(ratio: float) -> str:
    """Return two digits, and three where they tell it from 1.

    Examples
    --------
    >>> _factor(0.806), _factor(0.9936), _factor(2.48)
    ('0.81', '0.994', '2.5')
    """
    return f"{ratio:.3g}" if abs(ratio - 1) < 0.1 else f"{ratio:.2g}"


def ratio_figure(marks: pd.DataFrame, picked: str) -> Figure:
    """Draw the error of the best family with blocks as a multiple of LoRA's, on a log scale."""
    layers, kinds, row, col = _places(marks)
    z = np.full((len(layers), len(kinds)), np.nan)
    ratios = marks["ratio"].to_numpy()
    limit = np.log2(LARGEST_RATIO)
    known = ~np.isnan(ratios)
    at = np.clip(np.log2(np.maximum(ratios[known], 2.0**-40)), -limit, limit)
    z[row[known], col[known]] = at
    figure = Figure()
    figure.add_heatmap(
        z=z,
        zmin=-limit,
        zmax=limit,
        colorscale=RATIOS,
        xgap=2,
        ygap=2,
        hoverinfo="skip",
        colorbar={
            "title": "blocks<br>/ LoRA",
            "thickness": 12,
            "tickvals": [-2, -1, 0, 1, 2],
            "ticktext": ["≤ 1/4", "1/2", "1", "2", "≥ 4"],
        },
    )
    cells = sample_colorscale(get_colorscale(RATIOS), (at / limit + 1) / 2, colortype="tuple")
    colours = ["#" + "".join(f"{round(255 * part):02x}" for part in cell) for cell in cells]
    words = {"mode": "text", "hoverinfo": "skip", "showlegend": False}
    figure.add_scatter(
        x=col[known],
        y=row[known],
        text=[_factor(ratio) for ratio in ratios[known]],
        textfont={"color": [ink(colour) for colour in colours]},
        **words,
    )
    # Cells without a ratio have no colour, so their words stand on the page itself.
    figure.add_scatter(
        x=col[~known],
        y=row[~known],
        text=["·" if mark == "unchanged" else "=" for mark in marks["mark"][~known]],
        **words,
    )
    return _finish(figure, marks, picked, (layers, kinds))


def pair_figure(curve: pd.DataFrame, rank: int, knee: tuple[str, int]) -> Figure:
    """Draw the error of a whole pair over the equivalent rank, a line a family.

    Parameters
    ----------
    curve : DataFrame
        From `Survey.curve`, of one grid.
    rank : int
        The budget of the sidebar.
    knee : (str, int)
        A family, and the row of the curve where it has its knee.
    """
    figure = Figure()
    for column, family in error_columns(curve).items():
        figure.add_scatter(
            x=curve["rank"],
            y=curve[column],
            name=family,
            mode="lines",
            line=FAMILY_LINES[family].drawn(),
            hovertemplate="%{y:.4f}",
        )
        if family == knee[0]:
            figure.add_scatter(
                x=curve["rank"].iloc[[knee[1]]],
                y=curve[column].iloc[[knee[1]]],
                name=f"knee of {family}",
                mode="markers",
                marker={"symbol": "diamond", "size": 13, "color": FAMILY_LINES[family].colour},
                hoverinfo="skip",
            )
    last = int(curve["rank"].iloc[-1])
    if rank <= last:
        figure.add_vline(rank, MARKER)
    figure.update_xaxes(title="budget, as equivalent rank r", range=[0, last + 0.5])
    figure.update_yaxes(title="error", range=[0, 1.02])
    return finish(figure, 340)
