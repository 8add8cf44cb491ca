"""SIGTERM: no new visitors, a moment for runs to be drawn, the end within five seconds."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from app.server.health import STATE, State

__all__ = ["GRACE", "LIMIT", "draining"]

#: Seconds in which a proxy that asks ``/healthz`` hears of it, and a run may be drawn to its end.
GRACE = 2.0
#: Seconds after which the process ends, whatever still holds it.
LIMIT = 4.5


@contextmanager
def draining(
    *,
    wait: bool,
    state: State = STATE,
    give_up: Callable[[int], object] = os._exit,
) -> Iterator[None]:
    """Drain the server on SIGTERM, and then do what was done on SIGTERM before.

    Parameters
    ----------
    wait : bool
        Whether those who are connected get `GRACE` seconds.
    state : State
    give_up : callable
        Ends the process where it has not ended by itself after `LIMIT` seconds: threads of torch
        and of scripts cannot be stopped, and the interpreter waits for some of them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Only a main thread hears signals; a test's server has none.
        return
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGTERM)

    def stop(number: int, frame: FrameType | None) -> None:
        if state.draining:
            return
        state.draining = True
        limit = threading.Timer(LIMIT, give_up, (0,))
        limit.daemon = True
        limit.start()
        seconds = GRACE if wait and state.visitors else 0.0
        loop.call_soon_threadsafe(loop.call_later, seconds, _as_before, before, number)

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is stop:
            signal.signal(signal.SIGTERM, before)


def _as_before(before: object, number: int) -> None:
    if callable(before):
        before(number, None)
    else:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
