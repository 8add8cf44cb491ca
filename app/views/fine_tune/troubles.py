"""Errors that end a race, as sentences."""

from __future__ import annotations

import torch

from app.shared.disk import is_full

__all__ = ["explain", "lost", "reason"]


def explain(error: BaseException) -> str:
    """Return a sentence on an error that ended a race.

    Examples
    --------
    >>> explain(MemoryError("cuda ran out of memory at step 3"))
    'The race ended: cuda ran out of memory at step 3. What was trained until then is kept. Try \
fewer methods, a smaller rank or another device.'
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        advice = "Try fewer methods, a smaller rank or another device."
    else:
        advice = "If the device is gone, choose another one and start again."
    kept = "What was trained until then is kept."
    return f"The race ended: {reason(error)}. {kept} {advice}"


def reason(error: BaseException) -> str:
    """Return the first line of an error, or its kind where it has no words.

    Examples
    --------
    >>> reason(OSError(28, "No space left on device", "/tmp/x"))
    'no room is left for temporary files'
    """
    if is_full(error):
        return "no room is left for temporary files"
    first = str(error).partition("\n")[0].rstrip(".")
    unnamed = "memory ran out" if isinstance(error, MemoryError) else type(error).__name__
    return first or unnamed


def lost(*, trained: bool) -> str:
    """Return a sentence on a race whose process is gone.

    Parameters
    ----------
    trained : bool
        Whether it had made a step.
    """
    kept = "The curves and pictures until then are kept, the adapters are not. " if trained else ""
    return (
        "The race ended because the process that trained it ended, as it does where memory runs "
        f"out. {kept}Press Start to train it again; fewer methods or a smaller rank need less "
        "memory."
    )
