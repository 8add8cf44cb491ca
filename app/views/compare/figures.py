"""The charts of Compare."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from app.shared.charts import Figure, finish
from app.shared.style import FAMILY_LINES, GREY, MARKER

__all__ = ["curve_figure", "spectrum_figure"]


def curve_figure(
    frame: pd.DataFrame,
    rank: int,
    parameters: int,
    points: Mapping[str, float],
    *,
    logarithmic: bool,
) -> Figure:
    """Draw relative error against parameters, a line a family, the floor, the current budget.

    Families in `points` are known at this budget only.
    """
    figure = Figure()
    for name, line in FAMILY_LINES.items():
        if name in frame:
            figure.add_scatter(
                x=frame["parameters"],
                y=frame[name],
                name=name,
                mode="lines",
                line=line.drawn(),
                hovertemplate="%{y:.4f}",
            )
    figure.add_scatter(
        x=frame["parameters"],
        y=frame["floor"],
        name="floor",
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
            marker={"color": FAMILY_LINES[name].colour, "size": 11, "symbol": "diamond"},
            hovertemplate="%{y:.4f}",
        )
    figure.add_vline(parameters, MARKER, f"r = {rank}")
    figure.update_xaxes(title="trainable parameters", rangemode="tozero")
    if logarithmic:
        positive = frame[[name for name in FAMILY_LINES if name in frame]].to_numpy()
        lowest = positive[positive > 1e-6].min(initial=1.0)
        figure.update_yaxes(
            title="relative error",
            type="log",
            range=[np.log10(lowest) - 0.1, 0.05],
            minor={"dtick": "D1"},
        )
    else:
        figure.update_yaxes(title="relative error", range=[0, 1.02])
    return finish(figure, 380)


def spectrum_figure(values: np.ndarray, ranks: Mapping[str, int]) -> Figure:
    """Draw the singular values of one block, with the rank that each family gives it."""
    figure = Figure()
    figure.add_scatter(
        x=np.arange(1, len(values) + 1),
        y=values,
        name="singular values",
        mode="lines+markers",
        line={"color": GREY, "width": 1},
        marker={"color": GREY, "size": 5},
        hovertemplate="σ = %{y:.3g}",
    )
    for name, rank in ranks.items():
        figure.add_vline(rank + 0.5, FAMILY_LINES[name].drawn())
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="lines",
            name=f"{name}: {rank}",
            line=FAMILY_LINES[name].drawn(),
        )
    figure.update_xaxes(title="number of the singular value", rangemode="tozero")
    kept = values[values > 1e-9 * values.max(initial=0)]
    figure.update_yaxes(title="singular value σ", type="log" if len(kept) else "linear")
    if len(kept):
        figure.update_yaxes(range=np.log10([kept.min() / 1.5, kept.max() * 1.5]).tolist())
    return finish(figure, 300)
