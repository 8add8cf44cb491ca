"""How an answer is shown: the figure, the same facts as text, and the lines that make it again."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.io
import streamlit as st
from plotly.basedatatypes import BaseFigure

from app.shared import paper
from app.shared.charts import Figure

__all__ = ["chart", "csv", "picture", "python", "table"]

#: Without the buttons that plotly lays over a figure.
_BARE: Mapping[str, Any] = {"displayModeBar": False}
#: Colours and fonts that Streamlit replaces by those of its theme.
_TEMPLATE: Mapping[str, Any] = plotly.io.templates["streamlit"].to_plotly_json()


class _Filled(BaseFigure):
    """A figure that Streamlit takes as it is; plain data it would let plotly check each time."""

    def __init__(self, figure: Figure) -> None:
        self._figure = figure

    def to_dict(self) -> dict[str, Any]:
        return self._figure.sent(_TEMPLATE)


def chart(
    figure: Figure,
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
    # Its height is kept while Streamlit fetches what draws it.
    picked = st.plotly_chart(
        _Filled(figure), key=key, config=dict(config), height=figure.layout["height"], **options
    )
    st.caption(caption, help=help)
    if code:
        python(code, key=f"{key}_python")
    return picked


def csv(
    frame: pd.DataFrame, label: str, file_name: str, *, key: str | None = None, index: bool = False
) -> None:
    """Offer a table as a file, written only when it is asked for.

    Parameters
    ----------
    frame : DataFrame
    label : str
        Of the button.
    file_name : str
    key : str, optional
        Of the widget.
    index : bool
        Whether the file names the rows.
    """
    st.download_button(
        label,
        lambda: frame.to_csv(index=index),
        file_name,
        "text/csv",
        key=key,
        on_click="ignore",
    )


def picture(png: bytes, words: str, shape: tuple[int, int], *, width: int) -> None:
    """Draw a picture with words for those who do not see it.

    Parameters
    ----------
    png : bytes
    words : str
    shape : (int, int)
        Rows and columns of what is pictured: its room is kept until it is there.
    width : int
        In pixels.
    """
    source = base64.b64encode(png).decode()
    st.html(
        f'<img src="data:image/png;base64,{source}" alt="{html.escape(words)}" '
        f'width="{width}" height="{round(width * shape[0] / shape[1])}">'
    )


def python(code: str, *, key: str) -> None:
    """Offer lines of Python to copy."""
    with st.popover("Copy as Python", key=key, type="tertiary"):
        st.code(code, language="python")


def table(
    frame: pd.DataFrame,
    *,
    key: str,
    columns: Mapping[str, Any] | None = None,
    buttons: Mapping[str, Any] | None = None,
    code: str = "",
) -> None:
    """Draw a table, with a copy of it for paper.

    Parameters
    ----------
    frame : DataFrame
    key : str
        Of the widget.
    columns : mapping
        The `column_config` of `st.dataframe`.
    buttons : mapping
        The same for columns of buttons, which paper leaves out.
    code : str
        Lines of Python that make the same numbers.
    """
    columns, buttons = columns or {}, buttons or {}
    config = {**columns, **buttons}
    st.dataframe(frame, hide_index=True, width="stretch", key=key, column_config=config)
    printed = frame.drop(columns=list(buttons))
    st.html(f'<div class="on-paper">{paper.as_html(printed, columns)}</div>')
    if code:
        python(code, key=f"{key}_python")
