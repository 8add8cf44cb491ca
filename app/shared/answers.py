"""How an answer is shown: the figure, the same facts as text, and the lines that make it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
import streamlit as st

__all__ = ["chart", "python"]

#: Without the buttons that plotly lays over a figure.
_BARE: Mapping[str, Any] = {"displayModeBar": False}


def chart(
    figure: go.Figure,
    *,
    key: str,
    caption: str,
    help: str | None = None,
    code: str = "",
    config: Mapping[str, Any] = _BARE,
    **options: Any,
) -> Any:
    """Draw a figure with its caption; return what was picked in it.

    Parameters
    ----------
    figure : Figure
    key : str
        Of the widget.
    caption : str
        The facts of the figure in words; also its text for a screen reader.
    help : str, optional
        Exact definitions, one hover away from the caption.
    code : str
        Lines of Python that make the same numbers.
    config : mapping
        Options of plotly.
    **options
        Of `st.plotly_chart`.
    """
    picked = st.plotly_chart(figure, key=key, config=dict(config), **options)
    st.caption(caption, help=help)
    if code:
        python(code, key=f"{key}_python")
    return picked


def python(code: str, *, key: str) -> None:
    """Offer lines of Python to copy."""
    with st.popover("Copy as Python", key=key, type="tertiary"):
        st.code(code, language="python")
