"""Parts of a page that are computed when they come into sight, and not before."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from app.shared.components import component
from app.shared.sentences import COMES
from app.shared.settings import widget_value

__all__ = ["seen"]

_COMPONENT = component("sight", Path(__file__).parent / "sight.js")


def seen(name: str) -> bool:
    """Return whether this place of the page has been near the screen; until then, keep it.

    What was seen stays so until the visitor goes to another page.

    Parameters
    ----------
    name : str
        Of this part of the page.
    """
    key = f"sight_{name}"
    found = bool((widget_value(key) or {}).get("seen"))
    with st.container(gap=None, key=f"{'seen' if found else 'unseen'}_{name}"):
        _COMPONENT(
            key=key, data={"seen": found}, default={"seen": False}, on_seen_change=lambda: None
        )
        if not found:
            st.caption(COMES)
    return found
