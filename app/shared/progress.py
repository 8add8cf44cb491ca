"""Long work with a bar, the time left, Stop and Continue."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from app.shared.pool import LostError, Progress, visiting
from app.shared.settings import Slot

__all__ = ["QUICK", "Progress", "aside", "stopped", "visitor", "with_stop"]

T = TypeVar("T")
#: Work that takes less, in seconds, has no bar and stays in this process.
QUICK = 0.5
#: Seconds between two chances to stop, of what waits for another machine.
_LOOK_EVERY = 0.1


def _of(name: str) -> Slot[Any]:
    return Slot(f"stopped_{name}", None)


def _lost(name: str) -> Slot[str]:
    return Slot(f"lost_{name}", "")


def _halt(name: str, key: Any, why: str = "") -> None:
    _of(name).set(key)
    _lost(name).set(why)


def visitor() -> str:
    """Return whose turn is meant where visitors share places."""
    context = get_script_run_ctx()
    return context.session_id if context else ""


def is_open(visitor: str) -> bool:
    """Return whether a visitor's page is connected; where no server runs, it is."""
    return not st.runtime.exists() or st.runtime.get_instance().is_active_session(visitor)


def with_stop(name: str, key: Any, words: str, run: Callable[[Progress], T]) -> T:
    """Run ``run(progress)`` with a bar, the time left and a Stop button.

    What it gives to `app.shared.pool` is done by a process of the pool. Streamlit ends the run of
    the script where the bar is drawn next, when Stop is pressed, a setting is changed or the tab is
    closed, and with it that work.

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
        st.button("Stop", on_click=_halt, args=(name, key), key=f"stop_{name}")
        bar = st.progress(0.0, f"{words} …")
    started = time.perf_counter()

    def show(share: float, done: str) -> None:
        passed = time.perf_counter() - started
        left = f": about {max(1, round(passed / share - passed))} s left" if share > 0.05 else ""
        bar.progress(share, f"{words}, {done}{left}" if done else f"{words} …{left}")

    try:
        with visiting(visitor()):
            found = run(show)
    except LostError as lost:
        _halt(name, key, str(lost))
        st.rerun()
    except Exception:
        # The page says what it is, and goes on: there is nothing more to stop.
        place.empty()
        raise
    place.empty()
    return found


def aside(work: Callable[[], T], show: Progress) -> T:
    """Do work that waits for another machine, which may never answer, in a thread of its own.

    Parameters
    ----------
    work : callable
        It ends by itself, if late, and draws nothing.
    show : callable
        Of `with_stop`. After a Stop nobody waits for the thread.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    while not wait([future], _LOOK_EVERY).done:
        show(0.0, "")
    return future.result()


def stopped(name: str, key: Any, words: str = "") -> bool:
    """Return whether this work was stopped; then, with words, say so and offer to go on."""
    if key is None or _of(name).value != key:
        return False
    if words:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button("Continue", on_click=_of(name).set, args=(None,), key=f"continue_{name}")
            why = _lost(name).value
            if why:
                st.error(why)
            st.info(words)
    return True
