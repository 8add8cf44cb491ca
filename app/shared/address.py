"""The address bar: read before the first widget, written once for each act of the visitor.

Streamlit can bind each widget to a query parameter, but then a setting has its value only when its
widget is drawn, and an act that sets five of them makes five entries in the browser's history.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from app.shared import settings
from app.shared.components import component
from app.shared.settings import Setting, Slot, query_of

__all__ = ["follow", "follow_old_link", "go_to", "travel", "write"]

_COMPONENT = component("address", Path(__file__).parent / "address.js")
_NOTHING: dict[str, Any] = {"id": "", "query": "", "push": False}

#: Page and query that the browser shows, or will with the latest order.
_SHOWN: Slot[tuple[str, str] | None] = Slot("address_shown", None)
_QUERY: Slot[dict[str, list[str]]] = Slot("address_query", {})
_ORDER: Slot[dict[str, Any]] = Slot("address_order", _NOTHING)
_NEXT: Slot[str] = Slot("next_page", "")
#: The number that the last act changed, and nothing else.
_MOVING: Slot[str] = Slot("address_moving", "")


def go_to(path: str) -> None:
    """Go to a page, named by its file, at the start of the coming run; for callbacks."""
    _NEXT.set(path)


def travel() -> None:
    """Go where `go_to` said, before the address is written."""
    path = _NEXT.take()
    if path:
        # With the present query Streamlit adds an entry for the page alone; `write` replaces it.
        st.switch_page(path, query_params=_QUERY.value)


def follow_old_link(path: str, used: Sequence[Setting]) -> None:
    """Go to a page, named by its file, that stood at the root once, if a link holds its settings.

    Parameters
    ----------
    path : str
    used : sequence of Setting
        Of that page; none of them is of the page that stands at the root now.
    """
    asked = {key: st.query_params.get_all(key) for key in st.query_params}
    if _SHOWN.value is None and any(setting.key in asked for setting in used):
        st.switch_page(path, query_params=asked)


def follow(page: str, used: Sequence[Setting], every: Sequence[Setting]) -> None:
    """Take the settings from the URL when it is opened, and when the visitor goes back.

    Parameters
    ----------
    page : str
        Path of the page in the URL.
    used, every : sequence of Setting
        Of this page, and of all pages.
    """
    asked = {key: st.query_params.get_all(key) for key in st.query_params}
    still = settings.still_shown() if _SHOWN.value is None else {}

    def read(setting: Setting) -> Any:
        return setting.read(still.get(setting.key, asked.get(setting.key, ())))

    context = get_script_run_ctx()
    if _SHOWN.value is None:
        settings.seed(every, read)
    elif context is not None and context.is_history_navigation:
        for setting in used:
            setting.set(read(setting))
    else:
        return
    _QUERY.set(query_of(used) if still else asked)
    _SHOWN.set((page, _text(used)))
    _MOVING.set("")


def _text(used: Sequence[Setting]) -> str:
    return urlencode(query_of(used), doseq=True)


def write(page: str, used: Sequence[Setting], key: str = "address") -> None:
    """Let the browser show the settings of a page, if they have changed.

    Parameters
    ----------
    page : str
        Path of the page in the URL.
    used : sequence of Setting
        Of this page.
    key : str, optional
        A fragment draws one of its own.
    """
    shown = (page, _text(used))
    before = _SHOWN.value
    if before is not None and shown != before:
        now, last = query_of(used), _QUERY.value
        changed = [s for s in used if now.get(s.key) != last.get(s.key)]
        # A slider on its way is one act, however often it reports.
        moving = changed[0].key if len(changed) == 1 and changed[0].is_number else ""
        push = page == before[0] and not (moving and moving == _MOVING.value)
        _MOVING.set(moving)
        _ORDER.set({"id": uuid.uuid4().hex, "query": shown[1], "push": push})
        _QUERY.set(now)
        _SHOWN.set(shown)
    _COMPONENT(key=key, data=_ORDER.value)
