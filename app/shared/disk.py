"""Whether an error says that a disk is full."""

from __future__ import annotations

import errno

__all__ = ["is_full"]


def is_full(error: object) -> bool:
    """Return whether there is no room on the disk, or none for whoever runs the server.

    Examples
    --------
    >>> is_full(OSError(28, "No space left on device")), is_full(OSError(2, "No such file"))
    (True, False)
    """
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
