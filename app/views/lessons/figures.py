"""The charts of the lessons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from app.shared.charts import Figure, finish
from app.shared.style import EXPECTED, FAMILY_LINES, GREY, MARKER, METHOD_LINES

__all__ = ["curve_figure", "grids_figure", "race_figure", "spectrum_figure"]


#: The largest singular value over the median, from which on the axis is logarithmic.
_STEEP = 20


def curve_figure(parameters: Sequence[int], errors: Mapping[str, np.ndarray], now: int) -> Figure:
    """Draw relative error against parameters, a line a family, and the budget of the step."""
    figure = Figure()
    for name, found in errors.items():
        figure.add_scatter(
            x=list(parameters),
            y=found,
            name=name,
            mode="lines",
            line=FAMILY_LINES[name].drawn(),
            hovertemplate="%{y:.4f}",
        )
    figure.add_vline(now, MARKER)
    figure.update_xaxes(title="trainable parameters", rangemode="tozero")
    figure.update_yaxes(title="relative error", range=[0, 1.02])
    return finish(figure, 320)


def grids_figure(sides: Sequence[int], errors: Mapping[str, Sequence[float]]) -> Figure:
    """Draw relative error against the number of blocks a side, at one budget."""
    figure = Figure()
    for name, found in errors.items():
        figure.add_scatter(
            x=list(sides),
            y=list(found),
            name=name,
            mode="lines+markers",
            line=FAMILY_LINES[name].drawn(),
            hovertemplate="%{y:.4f}",
        )
    figure.update_xaxes(
        title="blocks a side", type="log", tickvals=list(sides), ticktext=[str(k) for k in sides]
    )
    figure.update_yaxes(title="relative error", range=[0, 1.02])
    return finish(figure, 320)


def spectrum_figure(values: np.ndarray, kept: int, noise: np.ndarray | None) -> Figure:
    """Draw the singular values of a matrix, how many are kept, and what noise would have."""
    figure = Figure()
    number = np.arange(1, len(values) + 1)
    figure.add_scatter(
        x=number,
        y=values,
        name="this matrix",
        mode="lines",
        line={"color": GREY, "width": 2.5},
        hovertemplate="σ = %{y:.3g}",
    )
    if noise is not None:
        figure.add_scatter(
            x=number,
            y=noise,
            name="expected of noise",
            mode="lines",
            line=EXPECTED.drawn(),
            hovertemplate="σ = %{y:.3g}",
        )
    figure.add_vline(kept + 0.5, MARKER)
    figure.update_xaxes(title="number of the singular value", rangemode="tozero")
    # One huge value would press the others onto the axis.
    steep = values[0] > _STEEP * np.median(values)
    figure.update_yaxes(
        title="singular value σ", type="log" if steep else "linear", rangemode="tozero"
    )
    return finish(figure, 320)


def race_figure(curves: Mapping[str, tuple[Sequence[int], Sequence[float]]]) -> Figure:
    """Draw validation loss against step, a line a method."""
    figure = Figure()
    for name, (steps, losses) in curves.items():
        figure.add_scatter(
            x=list(steps),
            y=list(losses),
            name=name,
            mode="lines",
            line=METHOD_LINES[name].drawn(),
            hovertemplate="%{y:.3g}",
        )
    figure.update_xaxes(title="step", rangemode="tozero")
    figure.update_yaxes(title="validation loss", type="log")
    return finish(figure, 320)
