"""Share and Reset: a link to the view, all settings as a file, and back to the defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

import streamlit as st

from app.shared.notices import say_warnings
from app.shared.sentences import LINK
from app.shared.settings import (
    Setting,
    Slot,
    apply_settings,
    export_settings,
    query_of,
    reset,
    widget_value,
)

__all__ = ["draw", "link"]

_PROBLEMS: Slot[tuple[str, ...]] = Slot("settings_problems", ())


def _load_settings(every: Sequence[Setting]) -> None:
    file = widget_value("settings_file")
    if file is None:
        return
    try:
        problems = apply_settings(file.getvalue(), every)
    except ValueError as problem:
        problems = [str(problem)]
    _PROBLEMS.set(tuple(problems))


def link(asked: Mapping[str, Sequence[str]]) -> str:
    """Return the address of this page with a query."""
    query = urlencode(asked, doseq=True)
    address = (st.context.url or "").split("?")[0].rstrip("/")
    return f"{address}/{'?' if query else ''}{query}"


def draw(used: Sequence[Setting], every: Sequence[Setting]) -> None:
    """Draw Share and Reset in the sidebar.

    Link and Reset concern what this page uses; the file always holds all.
    """
    left, right = st.sidebar.columns(2)
    # Opened, it runs the page: what a fragment has set since is in the link.
    box = left.popover("Share", width="stretch", on_change="rerun", key="share")
    with box:
        st.caption(LINK)
        st.code(link(query_of(used)), language=None, wrap_lines=True)
        if box.open:
            _file(every)
    right.button("Reset", on_click=reset, args=(used,), key="reset", width="stretch")


def _file(every: Sequence[Setting]) -> None:
    settings = export_settings(every)
    st.download_button(
        "Settings as JSON",
        # A file that every run makes anew is gone before a browser has asked for the last one.
        lambda: settings,
        "settings.json",
        "application/json",
        on_click="ignore",
        width="stretch",
    )
    st.file_uploader(
        "Load settings",
        type="json",
        key="settings_file",
        max_upload_size=1,
        on_change=_load_settings,
        args=(every,),
    )
    say_warnings(_PROBLEMS.value)
