"""How many threads torch uses, for a while."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["one_thread"]


class _Inside:
    """How many callers are inside, and what the first of them found."""

    lock = threading.Lock()
    count = 0
    before = 0


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread: work runs side by side, and the bits are the same anywhere.

    The number is the process's, not the caller's: the last to leave sets it back.

    Examples
    --------
    >>> with one_thread():
    ...     torch.get_num_threads()
    1
    """
    with _Inside.lock:
        if not _Inside.count:
            _Inside.before = torch.get_num_threads()
        # OpenMP keeps a number for each thread, MKL one for all.
        torch.set_num_threads(1)
        _Inside.count += 1
    try:
        yield
    finally:
        with _Inside.lock:
            _Inside.count -= 1
            if not _Inside.count:
                torch.set_num_threads(_Inside.before)
