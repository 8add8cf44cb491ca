"""The charts of What if."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from app.shared.cells import CLICKED, ROOM, cell_axes, cell_targets, frame_cell, legend_square
from app.shared.charts import finish
from app.shared.style import FAMILY_LINES, GREY, MARKER, VALUES, fade
from lolora_core import FAMILIES

__all__ = ["all_curves_figure", "grid_error_figure", "paint_figure", "winner_map_figure"]


def _label(rows: int, cols: int) -> str:
    return f"{rows}×{cols}"


def winner_map_figure(
    winners: pd.DataFrame, picked: tuple[tuple[int, int], int] | None
) -> go.Figure:
    """Draw who wins on each grid at each equivalent rank: colour and letter, paler where close.

    Parameters
    ----------
    winners : DataFrame
        Columns grid_rows, grid_cols, rank, winner, runner_up, relative_error, margin, tied.
    picked : ((int, int), int) or None
        Grid and equivalent rank that carry a frame.
    """
    labels = [_label(r, c) for r, c in zip(winners.grid_rows, winners.grid_cols, strict=True)]
    grids, ranks = list(dict.fromkeys(labels)), sorted(set(winners["rank"]))
    row = np.array([grids.index(label) for label in labels])
    col = np.searchsorted(ranks, winners["rank"])
    # Half the lead of the winner over the runner-up, or more, is full colour.
    lead = (winners.margin / (winners.relative_error + winners.margin)).fillna(0).to_numpy()
    figure, shape = go.Figure(), (len(grids), len(ranks))
    for name, line in FAMILY_LINES.items():
        mine = (winners.winner == name).to_numpy() & ~winners.tied.to_numpy()
        _winner_cells(figure, shape, (row[mine], col[mine]), lead[mine], name, line.colour)
    tied = winners.tied.to_numpy()
    _winner_cells(figure, shape, (row[tied], col[tied]), np.zeros(tied.sum()), "tie", GREY)
    _crossovers(figure, winners, row, col)
    custom = np.stack(
        [
            winners.grid_rows,
            winners.grid_cols,
            winners["rank"],
            winners.winner,
            winners.relative_error,
            winners.runner_up,
            winners.margin,
        ],
        axis=-1,
    )
    figure.add_trace(
        cell_targets(
            col,
            row,
            custom,
            "%{customdata[0]}×%{customdata[1]} blocks, r = %{customdata[2]}<br>"
            "%{customdata[3]}: error %{customdata[4]:.4f}<br>"
            "next: %{customdata[5]}, %{customdata[6]:.2g} more<extra></extra>",
        )
    )
    if picked is not None and _label(*picked[0]) in grids and picked[1] in ranks:
        frame_cell(figure, grids.index(_label(*picked[0])), ranks.index(picked[1]))
    every = max(1, len(ranks) // 16)
    figure.update_xaxes(title="equivalent rank r")
    figure.update_yaxes(title="grid")
    return cell_axes(
        figure, grids, [str(rank) for rank in ranks], every=every, height=150 + 34 * len(grids)
    )


def _letter(name: str) -> str:
    return FAMILIES[name].letter if name in FAMILIES else "="


def _winner_cells(
    figure: go.Figure,
    shape: tuple[int, int],
    cells: tuple[np.ndarray, np.ndarray],
    lead: np.ndarray,
    name: str,
    colour: str,
) -> None:
    if not len(lead):
        return
    z = np.full(shape, np.nan)
    z[cells] = np.minimum(lead, 0.5)
    text = np.full(shape, "", dtype=object)
    text[cells] = letter = _letter(name)
    figure.add_heatmap(
        z=z,
        zmin=0,
        zmax=0.5,
        colorscale=[[0, fade(colour, 0.3)], [1, fade(colour, 1.0)]],
        showscale=False,
        text=text,
        texttemplate="%{text}" if shape[1] <= 48 else None,
        xgap=1,
        ygap=1,
        hoverinfo="skip",
    )
    legend_square(figure, letter, name, colour)


def _crossovers(figure: go.Figure, winners: pd.DataFrame, row: np.ndarray, col: np.ndarray) -> None:
    """Mark where the winner of a grid changes from one drawn budget to the next."""
    names = np.where(winners.tied, "", winners.winner)
    order = np.lexsort((col, row))
    row, col, names = row[order], col[order], names[order]
    changed = (row[1:] == row[:-1]) & (names[1:] != names[:-1]) & (names[1:] != "")
    changed &= names[:-1] != ""
    at_row, at_col = row[1:][changed], col[1:][changed] - 0.5
    gap = np.full(len(at_row), np.nan)
    figure.add_scatter(
        x=np.stack([at_col, at_col, gap], axis=-1).ravel(),
        y=np.stack([at_row - 0.45, at_row + 0.45, gap], axis=-1).ravel(),
        mode="lines",
        line={"color": GREY, "width": 3},
        name="crossover",
        hoverinfo="skip",
    )


def all_curves_figure(
    frame: pd.DataFrame,
    front: pd.DataFrame,
    budget: int,
    *,
    log_error: bool,
    log_parameters: bool,
) -> go.Figure:
    """Draw every family on every grid, and the Pareto front with its structures named.

    A curve begins at its first parameter: a logarithmic axis would stretch rank 0 to its left edge.

    Parameters
    ----------
    frame : DataFrame
        Columns family, grid_rows, grid_cols, num_parameters, relative_error.
    front : DataFrame
        The rows of `frame` that no other beats, by rising number of parameters.
    budget : int
        Marked by a line.
    """
    figure = go.Figure()
    shown: set[str] = set()
    begun = frame[frame["num_parameters"] > 0]
    for key, part in begun.groupby(["family", "grid_rows", "grid_cols"], sort=False):
        name, rows, cols = str(key[0]), int(str(key[1])), int(str(key[2]))
        figure.add_scatter(
            x=part["num_parameters"],
            y=part["relative_error"],
            mode="lines",
            line=FAMILY_LINES[name].drawn(1.5),
            opacity=0.75,
            name=name,
            legendgroup=name,
            showlegend=name not in shown,
            hovertemplate=f"{name} {_label(rows, cols)}<br>%{{x:,}} parameters"
            "<br>error %{y:.4f}<extra></extra>",
        )
        shown.add(name)
    figure.add_scatter(
        x=front["num_parameters"],
        y=front["relative_error"],
        mode="lines",
        line={"color": GREY, "width": 5, "shape": "hv"},
        opacity=0.55,
        name="Pareto front",
        hoverinfo="skip",
    )
    named = front_changes(front)
    figure.add_scatter(
        x=named["num_parameters"],
        y=named["relative_error"],
        mode="markers+text",
        text=named["structure"],
        textposition="top right",
        marker={"color": GREY, "size": 9, "symbol": "diamond"},
        name="first of its structure on the front",
        hovertemplate="%{text}<br>%{x:,} parameters<br>error %{y:.4f}<extra></extra>",
    )
    figure.add_vline(x=budget, line=MARKER)
    positive = frame.loc[frame["relative_error"] > 1e-6, "relative_error"]
    low = np.log10(positive.min()) - 0.1 if len(positive) else -1.0
    error_axis = {"type": "log", "range": [low, 0.08]} if log_error else {"range": [0, 1.05]}
    figure.update_yaxes(title="relative error", **error_axis)
    figure.update_xaxes(title="trainable parameters", type="log" if log_parameters else "linear")
    finish(figure, 460)
    return figure.update_layout(hovermode="closest", margin_t=ROOM)


def front_changes(front: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a Pareto front at which its structure changes, with a name for each.

    Examples
    --------
    >>> front = pd.DataFrame({"family": ["global", "adaptive", "adaptive"],
    ...                       "grid_rows": [1, 8, 8], "grid_cols": [1, 8, 8]})
    >>> front_changes(front)["structure"].tolist()
    ['global', 'adaptive 8×8']
    """
    names: list[str] = [
        str(row.family)
        if FAMILIES[str(row.family)].spans_whole
        else f"{row.family} {row.grid_rows}×{row.grid_cols}"
        for row in front.itertuples()
    ]
    named = front.assign(structure=names)
    return named[named["structure"] != named["structure"].shift()]


def grid_error_figure(
    errors: np.ndarray, rows: Sequence[int], cols: Sequence[int], picked: tuple[int, int] | None
) -> go.Figure:
    """Draw one family's error over block rows × block columns at one budget.

    Parameters
    ----------
    errors : ndarray, shape (len(rows), len(cols))
        NaN where the family is not defined.
    """
    known = errors[np.isfinite(errors)]
    best = known.min() if len(known) else np.nan
    text = np.array(
        [
            ["" if np.isnan(e) else f"{'● ' if e <= best + 1e-5 else ''}{e:.3g}" for e in line]
            for line in errors
        ]
    )
    figure = go.Figure(
        go.Heatmap(
            z=errors,
            colorscale=VALUES,
            text=text,
            texttemplate="%{text}",
            xgap=1,
            ygap=1,
            hoverinfo="skip",
            colorbar={"title": "relative<br>error", "thickness": 12},
        )
    )
    down, across = np.indices(errors.shape).reshape(2, -1)
    custom = np.stack([np.asarray(rows)[down], np.asarray(cols)[across], errors.ravel()], axis=-1)
    figure.add_trace(
        cell_targets(
            across,
            down,
            custom,
            "%{customdata[0]}×%{customdata[1]} blocks<br>error %{customdata[2]:.4f}<extra></extra>",
        )
    )
    if picked is not None and picked[0] in rows and picked[1] in cols:
        frame_cell(figure, list(rows).index(picked[0]), list(cols).index(picked[1]))
    figure.update_xaxes(title="block columns")
    figure.update_yaxes(title="block rows")
    return cell_axes(figure, [str(r) for r in rows], [str(c) for c in cols], height=420)


def paint_figure(ranks: np.ndarray, most: int) -> go.Figure:
    """Draw a rank map whose blocks can be clicked; colours end at rank `most`."""
    rows, cols = ranks.shape
    roomy = max(rows, cols) <= 16
    figure = go.Figure(
        go.Heatmap(
            z=ranks,
            colorscale=VALUES,
            zmin=0,
            zmax=max(1, most),
            text=ranks if roomy else None,
            texttemplate="%{text}" if roomy else None,
            xgap=1,
            ygap=1,
            hoverinfo="skip",
            colorbar={"title": "rank", "thickness": 12},
        )
    )
    down, across = np.indices(ranks.shape).reshape(2, -1)
    custom = np.stack([down, across, ranks.ravel()], axis=-1)
    figure.add_trace(
        cell_targets(
            across,
            down,
            custom,
            "block (%{customdata[0]}, %{customdata[1]}): rank %{customdata[2]}<extra></extra>",
        )
    )
    tick = {"dtick": max(1, max(rows, cols) // 8), "showgrid": False, "zeroline": False}
    figure.update_xaxes(title="block column", range=[-0.5, cols - 0.5], constrain="domain", **tick)
    figure.update_yaxes(
        title="block row",
        range=[rows - 0.5, -0.5],
        scaleanchor="x",
        constrain="domain",
        **tick,
    )
    finish(figure, 420)
    return figure.update_layout(CLICKED)
