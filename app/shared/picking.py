"""Plotly figures whose cells can be clicked."""

from __future__ import annotations

from typing import Any

from app.shared.settings import widget_value

__all__ = ["PICTURE", "picked_cell"]

#: Only the button that saves a picture.
PICTURE = {
    "displaylogo": False,
    "modeBarButtons": [["toImage"]],
    "toImageButtonOptions": {"format": "png", "scale": 2},
}


def picked_cell(key: str) -> list[Any] | None:
    """Return what the clicked cell of a figure carries; for callbacks."""
    points = (widget_value(key) or {}).get("selection", {}).get("points", [])
    return list(points[0]["customdata"]) if points and "customdata" in points[0] else None
