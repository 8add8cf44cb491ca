"""What a process of the pool runs: one piece of work after the other."""

from __future__ import annotations

import importlib
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

__all__ = ["Report", "StoppedError", "begin", "run"]

#: Takes the share that is done, from 0 to 1, and words on it; raises to stop.
Report = Callable[[float, str], None]
#: Seconds between two looks at whether the app's process is still there.
_LOOK_EVERY = 1.0
#: How far work steps back behind pages; at 5 four busy processes took 30 % of two cores from them.
_YIELDS = 15
#: Between two reports, at least.
_SAY_EVERY = 0.05


class StoppedError(Exception):
    """Nobody waits for this work any more."""


def begin(last: bool = False) -> None:
    """Prepare a new process: the pages go first, and it ends when theirs does.

    Parameters
    ----------
    last : bool
        Whether it has only what all others leave of the cores, where the system knows such a class:
        right for a host that serves pages, wrong beside other programs, which would stop it.
    """
    # Of the terminal's Ctrl-C the app's process hears, and ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(_YIELDS)
    if last and hasattr(os, "SCHED_IDLE"):
        # Not every container allows it.
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    # Slow, and the app's process imports this module too.
    importlib.import_module("torch").set_num_threads(1)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY)
    os._exit(1)


class _Pipe:
    """One end of the talk about a piece of work: reports go out, words and the end come in."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._said = connection, 0.0
        self._stop = threading.Event()
        # Words that came before somebody listened.
        self._words: list[Any] = []
        self._hear: Callable[[Any], object] = self._words.append
        self._turn = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()
        # From here on the other side sees it when this one is gone.
        connection.send(None)

    def _listen(self) -> None:
        with self._connection:
            try:
                while True:
                    self._take(self._connection.recv())
            except (EOFError, OSError):
                self._stop.set()
                self._take(None)

    def _take(self, word: Any) -> None:
        with self._turn:
            self._hear(word)

    def listen(self, hear: Callable[[Any], object]) -> None:
        """Have a function called with each word, and with None at the end of all."""
        with self._turn:
            self._hear = hear
            for word in self._words:
                hear(word)

    def tell(self, what: Any) -> None:
        """Say something; where nobody hears it any more, `listen` says so."""
        with suppress(OSError):
            self._connection.send(what)

    def __call__(self, share: float, words: str) -> None:
        if self._stop.is_set():
            raise StoppedError
        now = time.monotonic()
        if now - self._said < _SAY_EVERY:
            return
        self._said = now
        try:
            self._connection.send((share, words))
        except OSError:
            raise StoppedError from None


def _unheard(share: float, words: str) -> None:
    """Take reports where nobody can be told, as on a cluster."""


def run(packed: bytes, connection: Connection | None = None) -> bytes:
    """Do a piece of work and return its answer, both pickled.

    By pickle itself, because torch would hand tensors on in shared memory, which the end of a
    process takes away.

    Parameters
    ----------
    packed : bytes
        A function, its arguments, and whether it takes a `Report` after them, which can also
        ``tell`` and ``listen``.
    connection : Connection, optional
        Where reports go, and where the wish to stop comes from.
    """
    function, arguments, reports = pickle.loads(packed)
    said: Report = _unheard if connection is None else _Pipe(connection)
    answer: Any = function(*arguments, said) if reports else function(*arguments)
    return pickle.dumps(answer, protocol=pickle.HIGHEST_PROTOCOL)
