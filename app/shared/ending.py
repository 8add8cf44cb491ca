"""What is closed when the server ends, named by whoever opened it."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["at_end", "end"]

_CLOSERS: list[Callable[[], object]] = []


def at_end(close: Callable[[], object]) -> None:
    """Let something be closed when the server ends."""
    _CLOSERS.append(close)


def end() -> None:
    """Close everything, the last that was opened first."""
    for close in reversed(_CLOSERS):
        close()
