"""The charts of the scoreboard."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from app.shared.cells import cell_axes, cell_targets, legend_square, lettered_cells
from app.shared.charts import Figure, finish
from app.shared.style import FAMILY_LINES, GREY, ink, tint
from app.views.scoreboard.sentences import KINDS
from lolora_core import FAMILIES

__all__ = ["letter", "map_figure", "shares_figure", "trained_figure"]

_TIE = "tie"


def letter(outcome: str) -> str:
    """Return what stands for an outcome where colour does not.

    Examples
    --------
    >>> letter("global"), letter("tie")
    ('G', '=')
    """
    return FAMILIES[outcome].letter if outcome in FAMILIES else "="


def _colour(outcome: str) -> str:
    return FAMILY_LINES[outcome].colour if outcome in FAMILY_LINES else GREY


def _outcomes(found: Sequence[str]) -> list[str]:
    """Return the families in the order of the registry, ties last."""
    return [name for name in (*FAMILIES, _TIE) if name in set(found)]


def shares_figure(found: pd.DataFrame) -> Figure:
    """Draw the share of wins by kind of target, a bar a kind.

    Parameters
    ----------
    found : DataFrame
        Of `lolora_core.explore.scoreboard.shares`.
    """
    figure = Figure()
    kinds = [KINDS.get(kind, kind) for kind in dict.fromkeys(found["kind"])]
    for outcome in _outcomes(found["outcome"].tolist()):
        part = found[found["outcome"] == outcome]
        figure.add_bar(
            y=[KINDS.get(kind, kind) for kind in part["kind"]],
            x=100 * part["share"],
            orientation="h",
            name=f"{letter(outcome)}  {outcome}",
            marker={"color": _colour(outcome)},
            # In a bar too narrow for it, text would be turned or shrunk.
            text=[
                f"{letter(outcome)} {share:.0%}" if share >= 0.06 else "" for share in part["share"]
            ],
            textposition="inside",
            textfont={"color": ink(_colour(outcome))},
            insidetextanchor="middle",
            textangle=0,
            customdata=part["cells"],
            hovertemplate=f"{outcome}: %{{customdata:,}} cells, %{{x:.1f}} %<extra></extra>",
        )
    figure.update_yaxes(categoryorder="array", categoryarray=kinds[::-1])
    figure.update_xaxes(title="share of the cells, %", range=[0, 100])
    finish(figure, 110 + 42 * len(kinds))
    figure.update_layout(
        barmode="stack", hovermode="closest", legend={"y": -0.35, "traceorder": "normal"}
    )
    return figure


def map_figure(cells: pd.DataFrame, titles: Mapping[str, str]) -> Figure:
    """Draw who wins on each target, grid and budget: colour and letter, paler where close.

    Parameters
    ----------
    cells : DataFrame
        Of `lolora_core.explore.scoreboard.winners`.
    titles : mapping
        Of the targets.
    """
    targets = list(dict.fromkeys(cells["target"]))
    columns = sorted(set(zip(cells["grid"], cells["rank"], strict=True)))
    row = cells["target"].map({name: at for at, name in enumerate(targets)}).to_numpy()
    place = {pair: at for at, pair in enumerate(columns)}
    col = np.array([place[pair] for pair in zip(cells["grid"], cells["rank"], strict=True)])
    # The runner-up's error at twice the winner's, or more, is full colour.
    lead = np.clip(cells["ahead"].fillna(2.0).to_numpy() - 1, 0, 1)
    star = np.where(cells["exact"], "", "*")
    figure = Figure()
    for outcome in _outcomes(cells["outcome"].tolist()):
        mine = (cells["outcome"] == outcome).to_numpy()
        letters = np.array([letter(outcome) + mark for mark in star[mine]], dtype=object)
        lettered_cells(
            figure,
            (len(targets), len(columns)),
            (row[mine], col[mine]),
            lead[mine],
            letters,
            _colour(outcome),
        )
        legend_square(figure, letter(outcome), outcome, _colour(outcome))
    custom = np.stack(
        [
            cells["target"].map(titles),
            cells["grid"],
            cells["rank"],
            cells["target"],
            [_hover(cell) for cell in cells.to_dict("records")],
        ],
        axis=-1,
    )
    hover = (
        "%{customdata[0]}, %{customdata[1]}×%{customdata[1]}, r = %{customdata[2]}<br>"
        "%{customdata[4]}<extra></extra>"
    )
    cell_targets(figure, col, row, custom, hover)
    cell_axes(
        figure,
        [titles[name] for name in targets],
        [str(rank) for _, rank in columns],
        height=150 + 20 * len(targets),
    )
    _grid_names(figure, [grid for grid, _ in columns])
    figure.update_xaxes(title="equivalent rank r", tickangle=0)
    figure.update_layout(
        margin={"t": 56}, legend={"y": 0, "yref": "container", "yanchor": "bottom"}
    )
    return figure


def _hover(cell: Mapping[Hashable, Any]) -> str:
    errors = [
        f"{str(name).removeprefix('error_')} {value:.4f}"
        for name, value in cell.items()
        if str(name).startswith("error_")
    ]
    unfair = "" if cell["exact"] else "<br>not every family can spend the whole budget"
    return f"error: {', '.join(errors)}{unfair}"


def _grid_names(figure: Figure, grids: Sequence[int]) -> None:
    """Write each grid above its columns, with a line before the next."""
    for grid in dict.fromkeys(grids):
        first, count = grids.index(grid), list(grids).count(grid)
        figure.add_annotation(
            x=first + (count - 1) / 2,
            y=1,
            yref="paper",
            yanchor="bottom",
            text=f"{grid}×{grid}",
        )
        if first:
            figure.add_vline(first - 0.5, {"color": GREY, "width": 2})


def trained_figure(best: pd.DataFrame) -> Figure:
    """Draw how often each family has the lowest mean test loss, and how often clearly.

    Parameters
    ----------
    best : DataFrame
        Of `lolora_core.training.experiment.findings.best_trained`.
    """
    names = _outcomes(best["winner"].tolist())
    figure = Figure()
    for clear, words, share in ((True, "clear lead", 1.0), (False, "no clear lead", 0.4)):
        colours = [tint(_colour(name), share) for name in names]
        won = [int(((best["winner"] == name) & (best["clear"] == clear)).sum()) for name in names]
        figure.add_bar(
            y=[f"{letter(name)}  {name}" for name in names],
            x=won,
            orientation="h",
            name=words,
            marker={"color": colours},
            text=[f"{count}" if count else "" for count in won],
            textposition="inside",
            textfont={"color": [ink(colour) for colour in colours]},
            insidetextanchor="middle",
            textangle=0,
            hovertemplate=f"%{{y}}: %{{x}} cells, {words}<extra></extra>",
            showlegend=False,
        )
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(title="cells with the lowest mean test loss", dtick=1)
    finish(figure, 110 + 36 * len(names))
    figure.update_layout(barmode="stack", hovermode="closest")
    return figure
