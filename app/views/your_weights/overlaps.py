"""Two uploaded adapters, opened and compared; kept by the content of their files."""

from __future__ import annotations

import tempfile
import threading
from dataclasses import replace
from pathlib import Path

from cachetools import LRUCache, cached
from cachetools.keys import hashkey

from app.shared.pool import Progress, kept_call
from app.shared.worker import Report
from app.views.your_weights.pairs import MemoryFile, held_file
from lolora_core.adapters.adapter_source import AdapterSource
from lolora_core.checkpoints import Overlap, TensorSource, open_source, overlap
from lolora_core.files.folders import OWN_CONFIG, OWN_TENSORS, PEFT_CONFIG, PEFT_TENSORS

__all__ = ["Files", "compared", "names", "small"]

#: SHA-256 of the files of one adapter: its tensors, and its settings where they are a file too.
Files = tuple[str, ...]
#: Bytes.
_SMALL = 2**20


def names(both: tuple[Files, ...]) -> tuple[str, str]:
    """Return the name of the file of tensors of each of two adapters."""
    first, second = (
        next(f.label for f in map(held_file, files) if not f.label.endswith(".json"))
        for files in both
    )
    return first, second


def small(first: Files, second: Files) -> bool:
    """Return whether two adapters are compared in no time, by the size of their files."""
    return sum(held_file(digest).size for digest in (*first, *second)) < _SMALL


def _opened(files: Files) -> TensorSource:
    held = [held_file(digest) for digest in files]
    tensors = [file for file in held if not file.label.endswith(".json")]
    settings = [file for file in held if file.label.endswith(".json")]
    if len(tensors) != 1 or len(settings) > 1:
        raise ValueError(
            f"An adapter is one .safetensors file, with its {PEFT_CONFIG} or {OWN_CONFIG} where it "
            f"has one; these are {', '.join(file.label for file in held)}."
        )
    if not settings:
        return open_source(tensors[0], needs="update")
    return _with_settings(tensors[0], settings[0])


def _with_settings(tensors: MemoryFile, settings: MemoryFile) -> TensorSource:
    """Open an adapter of two files as the folder that they come from."""
    own = settings.label == OWN_CONFIG
    names = (OWN_TENSORS, OWN_CONFIG) if own else (PEFT_TENSORS, PEFT_CONFIG)
    with tempfile.TemporaryDirectory() as made:
        for name, file in zip(names, (tensors, settings), strict=True):
            (Path(made) / name).write_bytes(file.data)
        try:
            source = open_source(made)
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
    return hashkey(first, second)


@cached(LRUCache(16), key=_key, condition=threading.Condition())
def _kept(first: Files, second: Files, progress: Progress) -> Overlap:
    return _compared(_opened(first), _opened(second), progress)


def compared(first: Files, second: Files, progress: Progress) -> Overlap:
    """Compare two adapters, each given by the SHA-256 of its held files.

    Parameters
    ----------
    first, second : tuple of str
    progress : callable
        ``progress(share, words)`` after each module; what it raises stops the work.

    Raises
    ------
    ValueError
        Files that are no longer held, no adapter, damaged, or of different models.
    """
    files = _opened(first), _opened(second)
    return kept_call(
        _kept, (first, second, progress), _compared, *files, progress=progress, reports=True
    )
