"""The charts of Theory."""

from __future__ import annotations

from app.shared.charts import Figure, finish
from app.shared.style import FAMILY_LINES, GREY
from lolora_core.theory import Check

__all__ = ["against_figure", "means_figure"]


def against_figure(check: Check, axes: tuple[str, ...], family: str) -> Figure:
    """Draw the left side against the right side, a point a case, and the line where they agree."""
    sides = [one for one in check.sides if one.what == " against ".join(axes)]
    every = [side for one in sides for side in (one.left, one.right)]
    figure = Figure()
    figure.add_scatter(
        x=[min(every), max(every)],
        y=[min(every), max(every)],
        mode="lines",
        name="both equal",
        line={"color": GREY, "width": 1},
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=[one.right for one in sides],
        y=[one.left for one in sides],
        customdata=[one.case for one in sides],
        mode="markers",
        name="a case",
        marker={"color": FAMILY_LINES[family].colour, "size": 9},
        hovertemplate="case %{customdata}: left %{y:.4g}, right %{x:.4g}<extra></extra>",
    )
    figure.update_xaxes(title=f"right side: {axes[1]}")
    figure.update_yaxes(title=f"left side: {axes[0]}")
    finish(figure, 300).update_layout(showlegend=False, hovermode="closest")
    return figure


def means_figure(check: Check, family: str) -> Figure:
    """Draw the mean of every grid beside its right side."""
    words = [one.what for one in check.sides]
    figure = Figure()
    figure.add_scatter(
        x=words,
        y=[one.right for one in check.sides],
        mode="markers",
        name="right side",
        marker={
            "color": GREY,
            "symbol": "line-ew",
            "size": 40,
            "line": {"color": GREY, "width": 3},
        },
        hovertemplate="%{y:.4f}",
    )
    figure.add_scatter(
        x=words,
        y=[one.left for one in check.sides],
        error_y={"array": [one.tolerance for one in check.sides], "color": GREY},
        mode="markers",
        name="mean, with what may deviate",
        marker={"color": FAMILY_LINES[family].colour, "size": 10},
        hovertemplate="%{y:.4f}",
    )
    figure.update_yaxes(title="share of the energy lost", rangemode="tozero")
    return finish(figure, 320)
