"""Charts of cells: what can be clicked, who won, which ranks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.shared.charts import Figure, finish
from app.shared.style import FRAME, VALUES, ink, tint

__all__ = [
    "CLICKED",
    "ROOM",
    "cell_axes",
    "cell_targets",
    "frame_cell",
    "legend_square",
    "lettered_cells",
    "rank_map_figure",
]


#: Share of its colour in the palest cell.
_PALEST = 0.3

#: Pixels above a figure for the button that saves it.
ROOM = 32

#: Layout of a figure whose cells can be clicked.
CLICKED = {
    "hovermode": "closest",
    "clickmode": "event+select",
    "dragmode": False,
    "margin": {"l": 8, "r": 8, "t": ROOM, "b": 8},
}


def cell_targets(
    figure: Figure, x: np.ndarray, y: np.ndarray, custom: np.ndarray, hover: str
) -> None:
    """Add squares that cannot be seen but can be clicked; heatmaps answer no click."""
    figure.add_scatter(
        x=x,
        y=y,
        # As lists: of arrays the event brings back a mapping.
        customdata=custom.tolist(),
        mode="markers",
        marker={"symbol": "square", "size": 22, "opacity": 0},
        hovertemplate=hover,
        showlegend=False,
    )


def cell_axes(
    figure: Figure, down: Sequence[str], across: Sequence[str], *, every: int = 1, height: int
) -> Figure:
    """Give a map of cells its axes: a tick for each row, and for every so many columns.

    Parameters
    ----------
    figure : Figure
    down, across : sequence of str
        The words at the rows, from the top, and at the columns.
    every : int
        Write at every so many columns.
    height : int
        Pixels.
    """
    places = list(range(0, len(across), every))
    plain = {"showgrid": False, "zeroline": False}
    figure.update_xaxes(
        tickvals=places,
        ticktext=[across[at] for at in places],
        range=[-0.5, len(across) - 0.5],
        **plain,
    )
    figure.update_yaxes(
        tickvals=list(range(len(down))),
        ticktext=list(down),
        range=[len(down) - 0.5, -0.5],
        **plain,
    )
    finish(figure, height).update_layout(**CLICKED)
    return figure


def frame_cell(figure: Figure, row: float, col: float) -> None:
    """Frame the cell that is picked."""
    figure.add_shape(
        type="rect",
        x0=col - 0.5,
        x1=col + 0.5,
        y0=row - 0.5,
        y1=row + 0.5,
        line={"color": FRAME, "width": 3},
    )


def lettered_cells(
    figure: Figure,
    shape: tuple[int, int],
    cells: tuple[np.ndarray, np.ndarray],
    strength: np.ndarray,
    letters: np.ndarray,
    colour: str,
    *,
    size: int = 11,
) -> None:
    """Fill cells of a map with one colour, from pale to full, and write letters on them.

    Parameters
    ----------
    figure : Figure
    shape : (int, int)
        Rows and columns of the map.
    cells : (ndarray, ndarray)
        Row and column of each cell.
    strength : ndarray
        0 is pale, 1 is full.
    letters : ndarray of str
        Empty where a cell has none.
    colour : str
        "#rrggbb".
    size : int
        Of the letters, in pixels.
    """
    z = np.full(shape, np.nan)
    z[cells] = strength
    figure.add_heatmap(
        z=z,
        zmin=0,
        zmax=1,
        colorscale=[[0, tint(colour, _PALEST)], [1, tint(colour, 1.0)]],
        showscale=False,
        xgap=1,
        ygap=1,
        hoverinfo="skip",
    )
    written = np.flatnonzero(letters != "")
    shares = _PALEST + (1 - _PALEST) * strength[written]
    figure.add_scatter(
        x=cells[1][written],
        y=cells[0][written],
        mode="text",
        text=letters[written],
        textfont={"color": [ink(tint(colour, share)) for share in shares], "size": size},
        hoverinfo="skip",
        showlegend=False,
    )


def legend_square(figure: Figure, letter: str, name: str, colour: str) -> None:
    """Add a line of the legend: heatmaps have none."""
    figure.add_scatter(
        x=[None],
        y=[None],
        mode="markers",
        marker={"symbol": "square", "size": 12, "color": colour},
        name=f"{letter}  {name}",
    )


def rank_map_figure(
    ranks: np.ndarray, selected: tuple[int, int] | None = None, *, height: int = 380
) -> Figure:
    """Draw the ranks of the blocks over the grid; numbers where there is room.

    Parameters
    ----------
    ranks : ndarray of int, shape (K_r, K_c)
    selected : (int, int), optional
        The block that carries a frame.
    height : int
        Pixels.
    """
    largest = max(ranks.shape)
    numbers = {"text": ranks, "texttemplate": "%{text}"} if largest <= 16 else {}
    figure = Figure()
    figure.add_heatmap(
        z=ranks,
        colorscale=VALUES,
        zmin=0,
        zmax=max(1, int(ranks.max())),
        hovertemplate="block (%{y}, %{x}): rank %{z}<extra></extra>",
        xgap=1,
        ygap=1,
        colorbar={"title": "rank", "thickness": 12},
        **numbers,
    )
    if selected is not None:
        frame_cell(figure, *selected)
    tick = {"dtick": max(1, largest // 8), "showgrid": False}
    figure.update_xaxes(title="block column", constrain="domain", **tick)
    figure.update_yaxes(
        title="block row", autorange="reversed", scaleanchor="x", constrain="domain", **tick
    )
    finish(figure, height).update_layout(hovermode="closest")
    return figure
