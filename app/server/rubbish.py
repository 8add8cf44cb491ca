"""Garbage collection on a timer, in place of Streamlit's after every run of the script.

What is freed is given back to the machine.

Once torch and scikit-learn are loaded a full collection visits 325,000 objects that live for ever,
and holds the interpreter's lock for 144 ms meanwhile. Frozen, they are not visited.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
from contextlib import suppress

__all__ = ["EVERY", "collect_for_ever", "few_arenas"]

#: Seconds between two collections, and how many there are before all is visited again.
EVERY = 10.0
ROUND = 30
#: Of glibc's malloc.h.
_M_ARENA_MAX = -8


async def collect_for_ever(every: float = EVERY, round_of: int = ROUND) -> None:
    """Collect every few seconds what came since, and now and then everything.

    What survives is frozen, as it may be imported at any time: 270,000 objects come with the first
    optimizer alone, and to visit them takes up to a second of a busy server.

    Parameters
    ----------
    every : float
        Seconds.
    round_of : int
        Collections until what is frozen is visited too.
    """
    while True:
        for _ in range(round_of):
            gc.collect()
            gc.freeze()
            _give_back()
            await asyncio.sleep(every)
        gc.unfreeze()


def few_arenas() -> None:
    """Let all threads take their memory from two places of glibc's.

    Each run of the script has a thread of its own, and what is free in one place serves no other.
    """
    _glibc("mallopt", _M_ARENA_MAX, 2)


def _give_back() -> None:
    """Give freed memory back to the machine; glibc keeps it, for each thread that ever ran."""
    _glibc("malloc_trim", 0)


def _glibc(function: str, *numbers: int) -> None:
    """Call a function of glibc, where that is what Python runs on."""
    with suppress(OSError, AttributeError):
        getattr(ctypes.CDLL("libc.so.6"), function)(*numbers)
