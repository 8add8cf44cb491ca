"""Curves, spectra and pictures of a race: arrays in, figures out."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.shared.charts import Figure, error_png, finish, picture_png
from app.shared.style import METHOD_LINES, fade

__all__ = [
    "LossCurve",
    "curves_figure",
    "delta_png",
    "gallery",
    "gather",
    "inline",
    "scale_png",
    "spectra_figure",
    "stamp",
]

#: More points of a curve than this are not told apart on a screen.
MAX_POINTS = 500
#: Pictures are enlarged to about this many pixels a side, so that a browser does not blur them.
PICTURE_SIDE = 384


@dataclass(frozen=True, eq=False)
class LossCurve:
    """One method's values over steps.

    Attributes
    ----------
    steps, mean, low, high : ndarray
        Over the seeds that are done, or of the only one.
    running : (ndarray, ndarray) or None
        Steps and values of the seed in training, where others are done.
    seeds : int
        How many the band spans.
    """

    method: str
    steps: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    seeds: int
    running: tuple[np.ndarray, np.ndarray] | None = None


def gather(method: str, runs: Sequence[tuple[Sequence[int], Sequence[float], bool]]) -> LossCurve:
    """Gather one method's runs, each as steps, values and whether it is whole.

    Examples
    --------
    >>> curve = gather("full", [([0, 1], [2.0, 1.0], True), ([0, 1], [4.0, 2.0], True)])
    >>> curve.mean.tolist(), curve.low.tolist(), curve.seeds
    ([3.0, 1.5], [2.0, 1.0], 2)
    """
    done = [run for run in runs if run[2]]
    # With one seed, and while the first is in training, the curve is that run itself.
    shown = done or runs[:1]
    length = min(len(steps) for steps, _, _ in shown)
    chosen = _thin(length)
    values = np.array([run[1][:length] for run in shown], dtype=np.float64)[:, chosen]
    running = None
    if done and not runs[-1][2]:
        own = _thin(len(runs[-1][0]))
        running = (np.asarray(runs[-1][0])[own], np.asarray(runs[-1][1], dtype=np.float64)[own])
    return LossCurve(
        method,
        np.asarray(shown[0][0][:length])[chosen],
        values.mean(axis=0),
        values.min(axis=0),
        values.max(axis=0),
        len(shown),
        running,
    )


def _thin(length: int) -> np.ndarray:
    if length <= MAX_POINTS:
        return np.arange(length)
    return np.unique(np.linspace(0, length - 1, MAX_POINTS).round().astype(int))


def curves_figure(
    curves: Sequence[LossCurve], title: str, steps: int, *, logarithmic: bool = False
) -> Figure:
    """Draw one quantity of all methods over the steps, with a band over the seeds."""
    figure = Figure()
    for curve in curves:
        line = METHOD_LINES[curve.method]
        if curve.seeds > 1:
            figure.add_scatter(
                x=np.concatenate([curve.steps, curve.steps[::-1]]),
                y=np.concatenate([curve.high, curve.low[::-1]]),
                fill="toself",
                fillcolor=fade(line.colour, 0.15),
                line={"width": 0},
                mode="lines",
                hoverinfo="skip",
                showlegend=False,
                legendgroup=curve.method,
            )
        figure.add_scatter(
            x=curve.steps,
            y=curve.mean,
            name=curve.method,
            mode="lines" if len(curve.steps) > 1 else "markers",
            line={"color": line.colour, "dash": line.dash, "width": line.width},
            marker={"color": line.colour},
            hovertemplate="%{y:.4g}",
            legendgroup=curve.method,
        )
        if curve.running is not None:
            figure.add_scatter(
                x=curve.running[0],
                y=curve.running[1],
                mode="lines",
                line={"color": line.colour, "width": 0.8},
                hoverinfo="skip",
                showlegend=False,
                legendgroup=curve.method,
            )
    figure.update_xaxes(title="step", range=[0, steps])
    figure.update_yaxes(title=title, type="log" if logarithmic else "linear", nticks=8)
    if not logarithmic:
        figure.update_yaxes(rangemode="tozero")
    # Zoom and hidden lines survive the next poll.
    figure.update_layout(uirevision="race")
    return finish(figure, 340)


def spectra_figure(spectra: Mapping[str, np.ndarray]) -> Figure:
    """Draw the singular values of one module's ΔW, a line a method; those of 0 do not appear."""
    figure = Figure()
    top = max((float(values.max(initial=0)) for values in spectra.values()), default=0.0)
    lowest = top
    for method, values in spectra.items():
        line = METHOD_LINES[method]
        kept = values[values > 1e-3 * top] if top else values[:0]
        lowest = min(lowest, float(kept.min(initial=lowest)))
        figure.add_scatter(
            x=np.arange(1, len(kept) + 1),
            y=kept,
            name=method,
            mode="lines+markers" if len(kept) < 20 else "lines",
            line={"color": line.colour, "dash": line.dash, "width": line.width},
            marker={"color": line.colour, "size": 5},
            hovertemplate="σ = %{y:.3g}",
        )
    figure.update_xaxes(title="number of the singular value", rangemode="tozero")
    figure.update_yaxes(title="singular value σ of ΔW", type="log" if top else "linear")
    if top:
        figure.update_yaxes(range=np.log10([lowest / 1.3, top * 1.3]).tolist())
    figure.update_layout(uirevision="spectra")
    return finish(figure, 340)


def delta_png(delta: np.ndarray, limit: float) -> bytes:
    """Return a PNG of ΔW on the scale −limit…limit, each entry a square of whole pixels.

    Examples
    --------
    >>> delta_png(np.eye(2), 1.0)[1:4]
    b'PNG'
    """
    times = max(1, PICTURE_SIDE // max(delta.shape))
    return error_png(np.kron(delta, np.ones((times, times), delta.dtype)), limit)


def inline(png: bytes, words: str) -> str:
    """Return HTML of a picture that carries its bytes.

    A picture with an address of its own is gone before a browser asks for it, where the next poll
    has drawn a newer one.

    Examples
    --------
    >>> inline(b"PNG", "ΔW")[:54]
    '<img alt="ΔW" style="display: block; width: 100%" src='
    """
    data = base64.b64encode(png).decode()
    style = "display: block; width: 100%"
    return f'<img alt="{words}" style="{style}" src="data:image/png;base64,{data}">'


def gallery(pictures: Sequence[tuple[np.ndarray, str]]) -> str:
    """Return HTML of small grey pictures, each with a line of words under it.

    Examples
    --------
    >>> gallery([(np.zeros((8, 8)), "✓ 7")]).count("✓ 7")
    2
    """
    figures = []
    for picture, words in pictures:
        times = PICTURE_SIDE // (4 * len(picture))
        png = picture_png(np.kron(picture, np.ones((times, times))), (0, 1), image=True)
        caption = f'<figcaption style="font-size: 0.875rem">{words}</figcaption>'
        figures.append(
            f'<figure style="margin: 0; width: 72px">{inline(png, words)}{caption}</figure>'
        )
    return f'<div style="display: flex; flex-wrap: wrap; gap: 12px">{"".join(figures)}</div>'


def stamp(words: str) -> str:
    """Return HTML of a few large words.

    Examples
    --------
    >>> stamp("Larger").endswith('line-height: 1.25">Larger</p>')
    True
    """
    style = "margin: 0; font-size: 1.625rem; font-weight: 600; line-height: 1.25"
    return f'<p style="{style}">{words}</p>'


def scale_png() -> bytes:
    """Return a PNG of the colours from −limit to limit, left to right."""
    return error_png(np.tile(np.linspace(-1, 1, 512), (12, 1)), 1.0)
