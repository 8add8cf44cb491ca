"""The two checkpoints that the page Your weights looks at: bundled, uploaded, or from the Hub."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path

from cachetools import LRUCache, cached

from lolora_core.adapters.kinds import matrix_shape
from lolora_core.checkpoints import Contents, TensorSource, what
from lolora_core.checkpoints.align import open_pair
from lolora_core.checkpoints.pairs import pair_names, read_update
from lolora_core.checkpoints.sources import SourceLike
from lolora_core.common.names import display_name, printable
from lolora_core.files.tensors import SafetensorsSource
from lolora_core.targets import Target
from lolora_core.targets.uploads.common import MAX_SIDE
from lolora_core.targets.weights import asset_path

__all__ = [
    "BUNDLED",
    "MemoryFile",
    "Pair",
    "bundled_pair",
    "contents_of",
    "held_file",
    "hold_file",
    "hub_allowed",
    "hub_pair",
    "update_target",
    "uploaded_pair",
]

#: Base, tuned and title of each bundled pair.
BUNDLED = {
    "digits transformer": (
        "digits-transformer-base",
        "digits-transformer-rotated",
        "Digits transformer, upright → rotated",
    ),
    "digits MLP": ("digits-mlp-base", "digits-mlp-rotated", "Digits MLP, upright → rotated"),
}

#: Uploaded checkpoints may fill this much memory, all visitors together.
UPLOAD_BYTES = 512 * 2**20


@dataclass(frozen=True)
class MemoryFile:
    """A .safetensors file in memory; `identity` is the SHA-256 of its bytes."""

    label: str
    data: bytes = field(repr=False)
    identity: str

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return len(self.data)

    def read(self, start: int, end: int) -> bytearray:
        """Return the bytes from `start` up to `end`."""
        return bytearray(memoryview(self.data)[start:end])


@dataclass(frozen=True, eq=False)
class Pair:
    """Checkpoints of one model before and after fine-tuning.

    Raises
    ------
    ValueError
        They share no matrix of one name and shape.
    """

    title: str
    base: TensorSource
    tuned: TensorSource
    provenance: str
    licence: str
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", pair_names(self.base, self.tuned).names)

    @property
    def key(self) -> tuple[str, str]:
        """Identify the pair by its content."""
        return self.base.identity, self.tuned.identity

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """The rows and columns of each matrix."""
        return {name: matrix_shape(self.tuned.tensors[name].shape) for name in self.names}

    @property
    def work(self) -> dict[str, float]:
        """Multiplications, about, that a singular value decomposition of each matrix takes."""
        return {name: float(m * n * min(m, n)) for name, (m, n) in self.shapes.items()}

    @property
    def tuned_bytes(self) -> int | None:
        """Bytes of the files of tuned, where it is made of .safetensors files."""
        if not isinstance(self.tuned, SafetensorsSource):
            return None
        return sum(file.size for file in self.tuned.files)


def _source(file: MemoryFile) -> SafetensorsSource:
    return SafetensorsSource(file.label, (file,))


def _bundled(stem: str) -> SafetensorsSource:
    data = asset_path(f"{stem}.safetensors").read_bytes()
    return _source(MemoryFile(stem, data, hashlib.sha256(data).hexdigest()))


@cached(LRUCache(4), condition=threading.Condition())
def bundled_pair(name: str) -> Pair:
    """Return a pair of `BUNDLED`."""
    base, tuned, title = BUNDLED[name]
    return Pair(
        title,
        _bundled(base),
        _bundled(tuned),
        "this project, assets/make_updates.py; scikit-learn digits",
        "this project's own; scikit-learn states none for its digits",
    )


_files: LRUCache[str, MemoryFile] = LRUCache(UPLOAD_BYTES, getsizeof=lambda file: file.size)
_files_lock = threading.Lock()


def hold_file(name: str, data: bytes) -> str:
    """Keep an uploaded file; return its SHA-256 for `uploaded_pair`."""
    file = MemoryFile(display_name(name), data, hashlib.sha256(data).hexdigest())
    with _files_lock:
        _files[file.identity] = file
    return file.identity


def uploaded_pair(base: str, tuned: str) -> Pair:
    """Return the pair of two held files, given their SHA-256.

    Raises
    ------
    ValueError
        A file is no longer held, damaged, or not what is needed, or they are of different models.
    """
    first, second = held_file(base), held_file(tuned)
    title = f"{first.label} → {second.label}"
    return _pair(title, first, second, f"uploaded files {title}", "as their owner decides")


def held_file(digest: str) -> MemoryFile:
    """Return a held file, given its SHA-256, or raise ValueError."""
    with _files_lock:
        found = _files.get(digest)
    if found is None:
        raise ValueError("The files are no longer held here. Please upload them again.")
    return found


@cached(LRUCache(64), condition=threading.Condition())
def contents_of(digest: str) -> Contents:
    """Say what a held file is, from its header.

    Raises
    ------
    ValueError
        It is no longer held, or damaged.
    """
    return what(held_file(digest))


def hub_allowed() -> bool:
    """Return whether the host lets visitors read models from the Hub: LOLORA_ALLOW_HUB=1.

    With HF_TOKEN set, visitors read what that token may read.
    """
    return os.environ.get("LOLORA_ALLOW_HUB") == "1"


@cached(LRUCache(16), condition=threading.Condition())
def hub_pair(base: str, tuned: str) -> Pair:
    """Open two models of the Hugging Face Hub by their ids; only headers are read.

    Raises
    ------
    OSError, ValueError
        Not a model id, not there, not reachable, not safetensors, or different models.
    """
    if not hub_allowed():
        raise ValueError("This host does not read models from the Hub.")
    for where in (base, tuned):
        # A path of this machine would go before a model id.
        if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*(@[\w./-]+)?", where) or Path(where).exists():
            raise ValueError(
                f"{printable(where)} is not a model id: owner/name, or owner/name@revision."
            )
    return _pair(
        f"{base} → {tuned}",
        base,
        tuned,
        f"Hugging Face Hub, {base} and {tuned}",
        "see the model cards",
    )


def _pair(title: str, base: SourceLike, tuned: SourceLike, provenance: str, licence: str) -> Pair:
    first, second = open_pair(base, tuned)
    assert first is not None
    return Pair(title, first, second, provenance, licence)


def update_target(pair: Pair, name: str) -> Target:
    """Return ΔW of one matrix as a target; of a large one the upper left 2,048 rows and columns.

    Raises
    ------
    ValueError
        It holds NaN or infinity, or its source cannot be read.
    """
    update = read_update(pair.base, pair.tuned, name).delta
    m, n = update.shape
    array = update[:MAX_SIDE, :MAX_SIDE].numpy(force=True).copy()
    notes = [f"ΔW = {printable(pair.tuned.label)} − {printable(pair.base.label)}"]
    if array.shape != (m, n):
        notes.append(f"the upper left {array.shape[0]:,} × {array.shape[1]:,} of {m:,} × {n:,}")
    module = printable(name).removesuffix(".weight")
    return Target(
        id=f"update-{hashlib.sha256(array.tobytes()).hexdigest()[:12]}",
        title=f"ΔW of {module}",
        kind="update",
        description=f"ΔW of {module}, {pair.title}",
        source=pair.provenance,
        licence=pair.licence,
        array=array,
        notes=tuple(notes),
    )
