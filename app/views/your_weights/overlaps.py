"""Two uploaded adapters, opened and compared; kept by the content of their files."""

from __future__ import annotations

import tempfile
import threading
from dataclasses import replace
from pathlib import Path

from cachetools import LRUCache, cached
from cachetools.keys import hashkey

from app.shared.host import host
from app.shared.memory_file import MemoryFile
from app.shared.pool import Progress, kept_call
from app.shared.worker import Report
from lolora_core.adapters.adapter_source import AdapterSource
from lolora_core.checkpoints import Overlap, TensorSource, open_source, overlap
from lolora_core.checkpoints.sources import Needs
from lolora_core.files.folders import OWN_CONFIG, OWN_TENSORS, PEFT_CONFIG, PEFT_TENSORS

__all__ = ["Files", "compared", "names", "small"]

#: The files of one adapter: its tensors, and its settings where they are a file too.
Files = tuple[MemoryFile, ...]
#: Bytes.
_SMALL = 2**20


def names(both: tuple[Files, ...]) -> tuple[str, str]:
    """Return the name of the file of tensors of each of two adapters."""
    first, second = (
        next(f.label for f in files if not f.label.endswith(".json")) for files in both
    )
    return first, second


def small(first: Files, second: Files) -> bool:
    """Return whether two adapters are compared in no time, by the size of their files."""
    return sum(file.size for file in (*first, *second)) < _SMALL


def _open(where: MemoryFile | str, needs: Needs = "any") -> TensorSource:
    allowed = host()
    return open_source(
        where,
        needs=needs,
        max_tensors=allowed.max_tensors,
        max_entries=allowed.max_update_entries,
    )


def _opened(files: Files) -> TensorSource:
    tensors = [file for file in files if not file.label.endswith(".json")]
    settings = [file for file in files if file.label.endswith(".json")]
    if len(tensors) != 1 or len(settings) > 1:
        raise ValueError(
            f"An adapter is one .safetensors file, with its {PEFT_CONFIG} or {OWN_CONFIG} where it "
            f"has one; these are {', '.join(file.label for file in files)}."
        )
    if not settings:
        return _open(tensors[0], "update")
    return _with_settings(tensors[0], settings[0])


def _with_settings(tensors: MemoryFile, settings: MemoryFile) -> TensorSource:
    """Open an adapter of two files as the folder that they come from."""
    own = settings.label == OWN_CONFIG
    names = (OWN_TENSORS, OWN_CONFIG) if own else (PEFT_TENSORS, PEFT_CONFIG)
    with tempfile.TemporaryDirectory() as made:
        for name, file in zip(names, (tensors, settings), strict=True):
            (Path(made) / name).write_bytes(file.data)
        try:
            source = _open(made)
        except ValueError as error:
            raise ValueError(str(error).replace(made, tensors.label)) from None
    # The folder is gone, and an adapter is read whole when it is opened.
    assert isinstance(source, AdapterSource)
    return replace(source, label=tensors.label)


def _compared(first: TensorSource, second: TensorSource, report: Report) -> Overlap:
    def hear(done: int, total: int, name: str) -> None:
        report(done / total, f"{done} of {total} modules")

    return overlap(first, second, progress=hear)


def _key(first: Files, second: Files, *progress: Progress) -> object:
    return hashkey(*(tuple(file.key for file in files) for files in (first, second)))


@cached(LRUCache(16), key=_key, condition=threading.Condition())
def _kept(first: Files, second: Files, progress: Progress) -> Overlap:
    return _compared(_opened(first), _opened(second), progress)


def compared(first: Files, second: Files, progress: Progress) -> Overlap:
    """Compare two adapters, each given by its files.

    Parameters
    ----------
    first, second : tuple of MemoryFile
    progress : callable
        ``progress(share, words)`` after each module; what it raises stops the work.

    Raises
    ------
    ValueError
        Files that are no adapter, damaged, or of different models.
    """
    files = _opened(first), _opened(second)
    return kept_call(
        _kept, (first, second, progress), _compared, *files, progress=progress, reports=True
    )
