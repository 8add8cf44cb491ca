"""Tables on paper: on the screen a table is painted on a canvas, and printing would cut it."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from app.shared.words import three_digits

__all__ = ["as_html"]


def _written(value: Any, form: str | None) -> str:
    if isinstance(value, list | np.ndarray):
        return ", ".join(_written(one, form) for one in value)
    if isinstance(value, str):
        return value
    if value is None or pd.isna(value):
        return ""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if form and "%" in form:
        return form % value
    return three_digits(value) if isinstance(value, float) else f"{value:,}"


def _cell(kind: str, words: str) -> str:
    return f"<{kind}>{html.escape(words, quote=False)}</{kind}>"


def as_html(frame: pd.DataFrame, columns: Mapping[str, Any]) -> str:
    """Return a table as HTML, its numbers written as the columns say.

    Parameters
    ----------
    frame : DataFrame
    columns : mapping
        The `column_config` of `st.dataframe`.

    Examples
    --------
    >>> frame = pd.DataFrame({"family": ["global"], "error": [0.08041], "parameters": [32768]})
    >>> made = as_html(frame, {"error": {"type_config": {"format": "%.2f"}}})
    >>> [line for line in made.splitlines() if "<td>" in line]
    ['<tr><td>global</td><td>0.08</td><td>32,768</td></tr>']
    """
    forms = {
        name: (found.get("type_config") or {}).get("format") for name, found in columns.items()
    }
    rows = zip(
        *(
            [_cell("td", _written(value, forms.get(str(name)))) for value in frame[name].tolist()]
            for name in frame
        ),
        strict=True,
    )
    names = "".join(_cell("th", str(name)) for name in frame)
    head = f'<tr style="text-align: left">{names}</tr>'
    body = "".join(f"<tr>{''.join(row)}</tr>\n" for row in rows)
    return f"<table>\n<thead>{head}</thead>\n<tbody>\n{body}</tbody>\n</table>"
