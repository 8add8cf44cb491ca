"""Uploaded files that a visitor's session holds: bounded together, and gone when the session ends.

Names belong to a visitor: what servers' caches keep by content must not bring one visitor's names
to another, so a key holds the names too where what is kept does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from app.shared.host import MEGABYTE, host
from app.shared.memory_file import MemoryFile, in_memory
from app.shared.settings import Slot
from lolora_core.common.names import display_name

__all__ = ["Uploaded", "kept", "take"]


class Uploaded(Protocol):
    """What `st.file_uploader` returns."""

    file_id: str
    name: str
    size: int

    def getvalue(self) -> bytes:
        """Return the bytes."""


#: The files of each uploader by the browser's id, hashed once.
_HELD: Slot[dict[str, dict[str, MemoryFile]]] = Slot("held_files", {})


def take(uploader: str, files: Sequence[Uploaded], advice: str) -> list[MemoryFile]:
    """Return the files of an uploader, and hold them in place of those that it had before.

    Parameters
    ----------
    uploader : str
        Key of its widget.
    files : sequence of Uploaded
    advice : str
        What to do with a file that is too large.

    Raises
    ------
    ValueError
        A file is too large, or all that the visitor holds together.
    """
    limits, others = host(), {key: held for key, held in _HELD.value.items() if key != uploader}
    for file in files:
        if file.size > limits.max_upload_mb * MEGABYTE:
            raise ValueError(f"{file.name} is larger than {limits.max_upload_mb} MB. {advice}")
    total = sum(file.size for file in files) + _size(others)
    if total > limits.max_visitor_mb * MEGABYTE:
        raise ValueError(
            f"{display_name(files[-1].name)} is not read: all your uploads together may hold "
            f"{limits.max_visitor_mb} MB, and with it they would hold {total / MEGABYTE:.0f} MB. "
            "Take it away, upload smaller files, or open this page anew to begin with none."
        )
    known = _HELD.value.get(uploader, {})
    now = {
        file.file_id: known.get(file.file_id) or in_memory(file.name, file.getvalue())
        for file in files
    }
    _HELD.set({**others, uploader: now})
    return list(now.values())


def _size(held: dict[str, dict[str, MemoryFile]]) -> int:
    return sum(file.size for files in held.values() for file in files.values())


def kept(uploader: str) -> Iterable[MemoryFile]:
    """Return what an uploader holds, also when its page was left."""
    return _HELD.value.get(uploader, {}).values()
