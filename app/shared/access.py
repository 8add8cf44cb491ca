"""What every page needs to be read, printed, and used without a pointer or on a phone."""

from __future__ import annotations

from pathlib import Path

from app.shared.components import component

__all__ = ["help_along"]

_COMPONENT = component("access", Path(__file__).parent / "access.js")


def help_along(page: str) -> None:
    """Put a link over the navigation, name the charts, and fold the drawer of a phone.

    Parameters
    ----------
    page : str
        Path of the page in the URL; a new one folds the drawer.
    """
    _COMPONENT(key="access", data={"page": page})
