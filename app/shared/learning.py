"""Figures of training that two pages draw: loss over learning rate, what is kept of the old."""

from __future__ import annotations

import pandas as pd

from app.shared.charts import Figure, finish
from app.shared.style import METHOD_LINES

__all__ = ["rates_caption", "rates_figure", "retention_caption", "retention_figure"]

#: A chart whose largest loss is so many times the least is logarithmic.
_WIDE = 5


def rates_figure(curves: pd.DataFrame, height: int = 360) -> Figure:
    """Draw validation loss over peak learning rate, a line a method, its best rate marked.

    Parameters
    ----------
    curves : DataFrame
        method, lr, loss; NaN where a run diverged.
    height : int
        In pixels.
    """
    figure = Figure()
    known = curves.dropna(subset="loss")
    for method, rows in known.groupby("method", sort=False):
        ordered, line = rows.sort_values("lr"), METHOD_LINES[str(method)]
        best = ordered["loss"].idxmin()
        figure.add_scatter(
            x=ordered["lr"].tolist(),
            y=ordered["loss"].tolist(),
            name=str(method),
            mode="lines+markers",
            line=line.drawn(),
            marker={
                "color": line.colour,
                "size": [11 if at == best else 5 for at in ordered.index],
            },
            hovertemplate="%{y:.3g}",
        )
    figure.update_xaxes(title="peak learning rate", type="log", exponentformat="power")
    figure.update_yaxes(title="validation loss")
    if len(known) and known["loss"].max() > _WIDE * known["loss"].min():
        figure.update_yaxes(type="log", exponentformat="power")
    return _finished(figure, height)


def _finished(figure: Figure, height: int) -> Figure:
    """Give a figure the look of all, with room for a long legend."""
    return finish(figure, height + 16 * max(0, len(figure.data) - 8))


def rates_caption(curves: pd.DataFrame) -> str:
    """Say the best rate of every method, and where runs diverged.

    Examples
    --------
    >>> rates_caption(pd.DataFrame({"method": ["full"] * 3, "lr": [0.001, 0.01, 0.1],
    ...                             "loss": [0.5, 0.25, float("nan")]}))
    'Best rate: full 0.01 (loss 0.25). Diverged: full at 0.1.'
    """
    best, lost = [], []
    for method, rows in curves.groupby("method", sort=False):
        known = rows.dropna(subset="loss")
        if len(known):
            row = known.sort_values("loss", kind="stable").iloc[0]
            best.append(f"{method} {row['lr']:g} (loss {row['loss']:.3g})")
        out = rows[rows["loss"].isna()]["lr"]
        lost += [f"{method} at {', '.join(f'{rate:g}' for rate in sorted(out))}"] * bool(len(out))
    text = [f"Best rate: {', '.join(best)}."] if best else []
    return " ".join([*text, *([f"Diverged: {'; '.join(lost)}."] if lost else [])])


def retention_figure(kept: pd.DataFrame, height: int = 360) -> Figure:
    """Draw accuracy kept on the source domain over accuracy on the new one, a line a method.

    Parameters
    ----------
    kept : DataFrame
        method, step, metric, retained: a point an evaluation, in the order of steps.
    height : int
        In pixels.
    """
    figure = Figure()
    for method, rows in kept.groupby("method", sort=False):
        line = METHOD_LINES[str(method)]
        last = len(rows) - 1
        figure.add_scatter(
            x=rows["metric"].tolist(),
            y=rows["retained"].tolist(),
            name=str(method),
            mode="lines+markers",
            line=line.drawn(),
            marker={
                "color": line.colour,
                "size": [9 if at == last else 4 for at in range(len(rows))],
            },
            text=[f"step {step}" for step in rows["step"]],
            hovertemplate="%{text}: new %{x:.3f}, old %{y:.3f}",
        )
    figure.update_xaxes(title="accuracy on the new data")
    figure.update_yaxes(title="accuracy on the old data")
    _finished(figure, height)
    figure.update_layout(hovermode="closest")
    return figure


def retention_caption(kept: pd.DataFrame) -> str:
    """Say where the base began, and what each method knows of new and old after the last step.

    Examples
    --------
    >>> retention_caption(pd.DataFrame({"method": ["full"] * 2, "step": [0, 400],
    ...                                 "metric": [0.1, 0.9], "retained": [0.97, 0.3]}))
    'The base: 0.100 right on the new data, 0.970 on the old. After the last step: full 0.900 new, \
0.300 old.'
    """
    first = kept.iloc[0]
    ends = [
        f"{method} {rows.iloc[-1]['metric']:.3f} new, {rows.iloc[-1]['retained']:.3f} old"
        for method, rows in kept.groupby("method", sort=False)
    ]
    return (
        f"The base: {first['metric']:.3f} right on the new data, {first['retained']:.3f} on the "
        f"old. After the last step: {'; '.join(ends)}."
    )
