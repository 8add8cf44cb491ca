"""Garbage collection on a timer, in place of Streamlit's after every run of the script.

Once torch and scikit-learn are loaded a full collection visits 325,000 objects that live for ever,
and holds the interpreter's lock for 144 ms meanwhile. Frozen, they are not visited.
"""

from __future__ import annotations

import asyncio
import gc

__all__ = ["EVERY", "collect_for_ever"]

#: Seconds between two collections.
EVERY = 10.0


async def collect_for_ever(every: float = EVERY) -> None:
    """Collect every few seconds; what lives when this begins is never visited again.

    Parameters
    ----------
    every : float
        Seconds.
    """
    gc.collect()
    gc.freeze()
    while True:
        await asyncio.sleep(every)
        gc.collect()
