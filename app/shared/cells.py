"""Charts whose cells can be clicked."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from app.shared.style import FAMILY_COLOURS

__all__ = ["CLICKED", "LETTERS", "ROOM", "cell_targets", "fade", "frame_cell"]


#: A letter says the family where colour does not.
LETTERS = {"global": "G", "diagonal": "D", "localized": "L", "adaptive": "A", "hybrid": "H"}


#: Pixels above a figure for the button that saves it.
ROOM = 32

#: Layout of a figure whose cells can be clicked.
CLICKED = {
    "hovermode": "closest",
    "clickmode": "event+select",
    "dragmode": False,
    "margin": {"l": 8, "r": 8, "t": ROOM, "b": 8},
}


def fade(colour: str, share: float) -> str:
    """Return a colour "#rrggbb" with an opacity from 0 to 1."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share})"


def cell_targets(x: np.ndarray, y: np.ndarray, custom: np.ndarray, hover: str) -> go.Scatter:
    """Squares that cannot be seen but can be clicked; heatmaps answer no click."""
    return go.Scatter(
        x=x,
        y=y,
        # As lists: of arrays the event brings back a mapping.
        customdata=custom.tolist(),
        mode="markers",
        marker={"symbol": "square", "size": 22, "opacity": 0},
        hovertemplate=hover,
        showlegend=False,
    )


def frame_cell(figure: go.Figure, row: float, col: float) -> None:
    """Frame the cell that is picked."""
    figure.add_shape(
        type="rect",
        x0=col - 0.5,
        x1=col + 0.5,
        y0=row - 0.5,
        y1=row + 0.5,
        line={"color": FAMILY_COLOURS["hybrid"], "width": 3},
    )
