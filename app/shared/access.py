"""What every page needs to be read, printed, and used without a pointer or on a phone."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from app.shared.style import ACCENTS

__all__ = ["dress"]

_FOLDER = Path(__file__).parent
_ACCENT = f":root {{ --accent: light-dark({ACCENTS['light']}, {ACCENTS['dark']}) }}"
_STYLE = f"<style>{_ACCENT}{(_FOLDER / 'access.css').read_text(encoding='utf-8')}</style>"
_COMPONENT = st.components.v2.component(
    "access", js=(_FOLDER / "access.js").read_text(encoding="utf-8")
)


def dress(page: str) -> None:
    """Give a page its style sheet, the link over its navigation, and names for its charts.

    Parameters
    ----------
    page : str
        Path of the page in the URL; a new one folds the drawer of a phone.
    """
    st.html(_STYLE)
    _COMPONENT(key="access", data={"page": page})
