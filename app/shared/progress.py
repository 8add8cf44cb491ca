"""Long work with a bar, the time left, Stop and Continue."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import streamlit as st

from app.shared.settings import Slot

__all__ = ["Progress", "stopped", "with_stop"]

T = TypeVar("T")
#: Takes the share that is done, from 0 to 1, and words on it.
Progress = Callable[[float, str], None]


def _of(name: str) -> Slot[Any]:
    return Slot(f"stopped_{name}", None)


def with_stop(name: str, key: Any, words: str, run: Callable[[Progress], T]) -> T:
    """Run ``run(progress)`` with a bar, the time left and a Stop button.

    Parameters
    ----------
    name : str
        Of this kind of work on the page.
    key : object
        Of this very work: after a Stop `stopped` knows it again.
    words : str
        What is being done.
    run : callable
        ``progress`` raises when the visitor presses Stop or changes a setting.
    """
    place = st.empty()
    with place.container(horizontal=True, vertical_alignment="center"):
        # The button first: words and bar find their width while they are drawn, and a button
        # that they push aside between press and release is not clicked.
        st.button("Stop", on_click=_of(name).set, args=(key,), key=f"stop_{name}")
        bar = st.progress(0.0, f"{words} …")
    started = time.perf_counter()

    def show(share: float, done: str) -> None:
        passed = time.perf_counter() - started
        left = f": about {max(1, round(passed / share - passed))} s left" if share > 0.05 else ""
        bar.progress(share, f"{words}, {done}{left}")

    found = run(show)
    place.empty()
    return found


def stopped(name: str, key: Any, words: str = "") -> bool:
    """Return whether this work was stopped; then, with words, say so and offer to go on."""
    if key is None or _of(name).value != key:
        return False
    if words:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button("Continue", on_click=_of(name).set, args=(None,), key=f"continue_{name}")
            st.info(words)
    return True
