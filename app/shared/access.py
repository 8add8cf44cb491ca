"""What every page needs to be read, printed, and used without a pointer or on a phone."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from app.shared.components import component

__all__ = ["dress", "help_along"]

_FOLDER = Path(__file__).parent
_STYLE = f"<style>{(_FOLDER / 'access.css').read_text(encoding='utf-8')}</style>"
_COMPONENT = component("access", _FOLDER / "access.js")


def dress() -> None:
    """Give all pages their style sheet; before anything else is drawn.

    As Markdown: Streamlit would have to fetch what draws HTML, and the style came late.
    """
    st.markdown(_STYLE, unsafe_allow_html=True)


def help_along(page: str) -> None:
    """Put a link over the navigation, name the charts, and fold the drawer of a phone.

    Parameters
    ----------
    page : str
        Path of the page in the URL; a new one folds the drawer.
    """
    _COMPONENT(key="access", data={"page": page})
