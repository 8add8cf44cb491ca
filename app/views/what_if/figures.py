"""The charts of What if."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from app.shared.cells import (
    ROOM,
    cell_axes,
    cell_targets,
    frame_cell,
    legend_square,
    lettered_cells,
)
from app.shared.charts import Figure, finish
from app.shared.style import FAMILY_LINES, GREY, LUTS, MARKER, VALUES, ink
from lolora_core import FAMILIES

__all__ = ["best_curves_figure", "grid_error_figure", "order_figure", "winner_map_figure"]

#: Shares of each block, of all energy and of its own.
Blocks = tuple[np.ndarray, np.ndarray]

#: Above the drawing area: below it a narrow screen has the title of the axis.
_LEGEND = {"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom", "yref": "paper"}

#: Where the columns and rows of `order_figure` begin and end, as shares of the whole.
_ACROSS, _DOWN = ((0.0, 0.47), (0.53, 1.0)), ((0.55, 1.0), (0.0, 0.45))


def _label(rows: int, cols: int) -> str:
    return f"{rows}×{cols}"


def winner_map_figure(winners: pd.DataFrame, picked: tuple[tuple[int, int], int] | None) -> Figure:
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
    figure, shape = Figure(), (len(grids), len(ranks))
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
    cell_targets(
        figure,
        col,
        row,
        custom,
        "%{customdata[0]}×%{customdata[1]} blocks, r = %{customdata[2]}<br>"
        "%{customdata[3]}: error %{customdata[4]:.4f}<br>"
        "next: %{customdata[5]}, %{customdata[6]:.2g} more<extra></extra>",
    )
    if picked is not None and _label(*picked[0]) in grids and picked[1] in ranks:
        frame_cell(figure, grids.index(_label(*picked[0])), ranks.index(picked[1]))
    every = max(1, len(ranks) // 8)
    figure.update_xaxes(title="budget, as equivalent rank r")
    figure.update_yaxes(title="blocks")
    cell_axes(
        figure, grids, [str(rank) for rank in ranks], every=every, height=150 + 34 * len(grids)
    )
    figure.update_layout(legend=_LEGEND)
    return figure


def _winner_cells(
    figure: Figure,
    shape: tuple[int, int],
    cells: tuple[np.ndarray, np.ndarray],
    lead: np.ndarray,
    name: str,
    colour: str,
) -> None:
    """Fill the cells of one winner, with its letter in the middle of each run of cells."""
    if not len(lead):
        return
    letter = FAMILIES[name].letter if name in FAMILIES else "="
    order = np.lexsort((cells[1], cells[0]))
    row, col = cells[0][order], cells[1][order]
    starts = np.flatnonzero((np.diff(row, prepend=-1) != 0) | (np.diff(col, prepend=-9) != 1))
    runs = np.split(np.arange(len(row)), starts[1:])
    letters = np.full(len(row), "")
    letters[[run[len(run) // 2] for run in runs]] = letter
    strength = 2 * np.minimum(lead[order], 0.5)
    lettered_cells(figure, shape, (row, col), strength, letters, colour, size=12)
    legend_square(figure, letter, name, colour)


def _words(
    figure: Figure,
    z: np.ndarray,
    text: Sequence[Sequence[str]],
    ends: tuple[float, float],
    **where: str,
) -> None:
    """Write on the cells of a heatmap, readable on the colour of each."""
    low, high = ends
    table = np.frombuffer(LUTS["values"], np.uint8).reshape(256, 3)
    unit = np.nan_to_num(np.clip((z - low) / ((high - low) or 1.0), 0, 1))
    colours = table[np.round(unit * 255).astype(int)].reshape(-1, 3)
    down, across = np.indices(z.shape).reshape(2, -1)
    figure.add_scatter(
        x=across,
        y=down,
        mode="text",
        text=[word for line in text for word in line],
        textfont={"color": [ink(f"#{bytes(colour).hex()}") for colour in colours], "size": 11},
        hoverinfo="skip",
        showlegend=False,
        **where,
    )


def _crossovers(figure: Figure, winners: pd.DataFrame, row: np.ndarray, col: np.ndarray) -> None:
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
        name="the lead changes",
        hoverinfo="skip",
    )


def best_curves_figure(
    best: pd.DataFrame,
    front: pd.DataFrame,
    budget: int,
    *,
    log_error: bool,
    log_parameters: bool,
) -> Figure:
    """Draw one line a family, its lowest error over the grids at each budget, and the front.

    A line begins at the first parameter that helps: a logarithmic axis would stretch rank 0.

    Parameters
    ----------
    best : DataFrame
        Columns family, grid_rows, grid_cols, budget, num_parameters, relative_error.
    front : DataFrame
        The rows that no other beats, by rising number of parameters.
    budget : int
        Marked by a line.
    """
    figure = Figure()
    figure.add_scatter(
        x=front["num_parameters"],
        y=front["relative_error"],
        mode="lines",
        line={"color": GREY, "width": 7, "shape": "hv"},
        opacity=0.4,
        name="lowest of all",
        hoverinfo="skip",
    )
    begun = best[best["num_parameters"] > 0]
    for name, line in FAMILY_LINES.items():
        part = begun[begun["family"] == name]
        if len(part):
            figure.add_scatter(
                x=part["budget"],
                y=part["relative_error"],
                customdata=part[["grid_rows", "grid_cols", "num_parameters"]].to_numpy().tolist(),
                mode="lines",
                line=line.drawn(),
                name=name,
                hovertemplate=f"{name}, best on %{{customdata[0]}}×%{{customdata[1]}} blocks"
                "<br>%{customdata[2]:,} parameters<br>error %{y:.4f}<extra></extra>",
            )
    figure.add_vline(budget, MARKER)
    positive = best.loc[best["relative_error"] > 1e-6, "relative_error"]
    low = np.log10(positive.min()) - 0.1 if len(positive) else -1.0
    error_axis = {"type": "log", "range": [low, 0.08]} if log_error else {"range": [0, 1.05]}
    figure.update_yaxes(title="relative error", automargin=True, **error_axis)
    figure.update_xaxes(title="trainable parameters", type="log" if log_parameters else "linear")
    finish(figure, 460)
    figure.update_layout(hovermode="closest", margin={"t": ROOM}, legend=_LEGEND)
    return figure


def grid_error_figure(
    errors: np.ndarray, rows: Sequence[int], cols: Sequence[int], picked: tuple[int, int] | None
) -> Figure:
    """Draw one family's error over block rows × block columns at one budget.

    Parameters
    ----------
    errors : ndarray, shape (len(rows), len(cols))
        NaN where the family is not defined.
    """
    known = errors[np.isfinite(errors)]
    best = known.min() if len(known) else np.nan
    text = [
        ["" if np.isnan(e) else f"{'● ' if e <= best + 1e-5 else ''}{e:.3g}" for e in line]
        for line in errors
    ]
    low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
    figure = Figure()
    figure.add_heatmap(
        z=errors,
        zmin=low,
        zmax=high,
        colorscale=VALUES,
        showscale=False,
        xgap=1,
        ygap=1,
        hoverinfo="skip",
    )
    _words(figure, errors, text, (low, high))
    down, across = np.indices(errors.shape).reshape(2, -1)
    custom = np.stack([np.asarray(rows)[down], np.asarray(cols)[across], errors.ravel()], axis=-1)
    cell_targets(
        figure,
        across,
        down,
        custom,
        "%{customdata[0]}×%{customdata[1]} blocks<br>error %{customdata[2]:.4f}<extra></extra>",
    )
    if picked is not None and picked[0] in rows and picked[1] in cols:
        frame_cell(figure, list(rows).index(picked[0]), list(cols).index(picked[1]))
    figure.update_xaxes(title="block columns")
    figure.update_yaxes(title="block rows")
    return cell_axes(figure, [str(r) for r in rows], [str(c) for c in cols], height=420)


def order_figure(before: Blocks, after: Blocks) -> Figure:
    """Draw the energy of every block, and what its ranks keep, before and after reordering.

    Parameters
    ----------
    before, after : (ndarray, ndarray)
        Shares of the energy of the whole matrix, and of each block's own, shape (K_r, K_c).
    """
    figure = Figure()
    most = float(max(before[0].max(), after[0].max()))
    bare = {"showticklabels": False, "ticks": "", "showgrid": False, "zeroline": False}
    for col, row in np.ndindex(2, 2):
        share = (before, after)[col][row]
        kind, words = (("energy", "of all energy"), ("kept", "of its energy kept"))[row]
        end = (most, 1.0)[row] or 1.0
        number = ("", "2", "3", "4")[2 * row + col]
        x, y = f"x{number}", f"y{number}"
        (left, right), (low, high) = _ACROSS[col], _DOWN[row]
        if max(share.shape) <= 8:
            text = [[f"{100 * s:.2g}" if s < 0.995 else "100" for s in line] for line in share]
            _words(figure, share, text, (0.0, end), xaxis=x, yaxis=y)
        figure.add_heatmap(
            z=share,
            zmin=0,
            zmax=end,
            colorscale=VALUES,
            xgap=1,
            ygap=1,
            showscale=col == 1,
            colorbar={"thickness": 10, "tickformat": "~%", "len": 0.44, "y": (0.78, 0.22)[row]},
            hovertemplate="block (%{y}, %{x})<br>%{z:.1%} " + words + "<extra></extra>",
            xaxis=x,
            yaxis=y,
        )
        figure.add_annotation(
            text=f"{kind} {('before', 'after')[col]}",
            font={"size": 16},
            x=(left + right) / 2,
            xanchor="center",
            xref="paper",
            y=high,
            yanchor="bottom",
            yref="paper",
        )
        axes = {
            f"xaxis{number}": {"anchor": y, "domain": [left, right], **bare},
            f"yaxis{number}": {
                "anchor": x, "domain": [low, high], **bare, "autorange": "reversed"
            },
        }  # fmt: skip
        figure.update_layout(**axes)
    finish(figure, 520).update_layout(margin={"t": ROOM}, hovermode="closest")
    return figure
