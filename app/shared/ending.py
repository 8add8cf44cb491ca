"""What must be put in order before the server ends: processes, folders, threads."""

from __future__ import annotations

import logging
from collections.abc import Callable

__all__ = ["at_the_end", "end"]

_LOG = logging.getLogger("app.server")
_closers: list[Callable[[], object]] = []


def at_the_end(close: Callable[[], object]) -> None:
    """Have a function called before the server ends, those named last first.

    Parameters
    ----------
    close : callable
        It should take less than a second: the whole end may take five.
    """
    if close not in _closers:
        _closers.append(close)


def end() -> None:
    """Call every function; one that fails does not keep the others from it."""
    for close in reversed(_closers):
        try:
            close()
        except Exception as error:
            _LOG.error("something could not be closed", exc_info=error)
