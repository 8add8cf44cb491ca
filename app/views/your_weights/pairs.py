"""The two checkpoints that the page Your weights looks at: bundled, uploaded, or elsewhere."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from cachetools import LRUCache, cached
from cachetools.keys import hashkey
from torch import nn

from app.shared.host import MEGABYTE, host
from app.shared.memory_file import MemoryFile
from app.shared.pool import is_held
from app.views.your_weights import snippets
from lolora_core import checkpoints
from lolora_core.adapters.kinds import matrix_shape
from lolora_core.checkpoints import BUNDLED_PAIRS, Contents, TensorSource, what
from lolora_core.checkpoints.align import open_pair
from lolora_core.checkpoints.pairs import pair_names
from lolora_core.checkpoints.remote import UNBOUNDED, Access, RemoteFile
from lolora_core.checkpoints.sources import SourceLike
from lolora_core.common.names import printable
from lolora_core.files.tensors import SafetensorsSource
from lolora_core.targets import Cut, Target
from lolora_core.training.tasks.models import DigitsMLP, DigitsTransformer

__all__ = [
    "Pair",
    "bundled_pair",
    "contents_of",
    "hub_allowed",
    "hub_pair",
    "hub_pair_held",
    "local_pair",
    "paths_allowed",
    "update_target",
    "uploaded_pair",
]

_NETWORKS = {"digits transformer": DigitsTransformer, "digits MLP": DigitsMLP}


@dataclass(frozen=True, eq=False)
class Pair:
    """Checkpoints of one model before and after fine-tuning.

    Attributes
    ----------
    code : str
        Lines of Python that make `base` and `tuned`.
    paths : (str, str), optional
        Base and tuned as the command line takes them.
    cuts : tuple of Cut
        Grids that mean something in its matrices.
    network : callable, optional
        Makes the whole model, of which accuracy can be measured; only of the digits pairs.

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
    code: str
    paths: tuple[str, str] | None = None
    cuts: tuple[Cut, ...] = ()
    network: Callable[[], nn.Module] | None = None
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", pair_names(self.base, self.tuned).names)

    @property
    def key(self) -> tuple[tuple[str, str], ...]:
        """Identify the pair by its names and its content."""
        return tuple((source.label, source.identity) for source in (self.base, self.tuned))

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """The rows and columns of each matrix."""
        return {name: matrix_shape(self.tuned.tensors[name].shape) for name in self.names}

    @property
    def work(self) -> dict[str, float]:
        """Multiplications, about, that a singular value decomposition of each matrix takes."""
        return {name: float(m * n * min(m, n)) for name, (m, n) in self.shapes.items()}

    @property
    def remote(self) -> bool:
        """Whether its tensors come from a server, which may fall silent."""
        return any(
            isinstance(file, RemoteFile)
            for source in (self.base, self.tuned)
            if isinstance(source, SafetensorsSource)
            for file in source.files
        )

    @property
    def tuned_bytes(self) -> int | None:
        """Bytes of the files of tuned, where it is made of .safetensors files."""
        if not isinstance(self.tuned, SafetensorsSource):
            return None
        return sum(file.size for file in self.tuned.files)


@cached(LRUCache(4), condition=threading.Condition())
def bundled_pair(name: str) -> Pair:
    """Return a pair of `BUNDLED_PAIRS`."""
    known = BUNDLED_PAIRS[name]
    code = f"from lolora_core.checkpoints import bundled_pair\nbase, tuned = bundled_pair({name!r})"
    return Pair(
        known.title,
        *known.open(),
        known.source,
        known.licence,
        code,
        cuts=known.cuts,
        network=_NETWORKS.get(name),
    )


def uploaded_pair(base: MemoryFile, tuned: MemoryFile) -> Pair:
    """Return the pair of two uploaded files.

    Raises
    ------
    ValueError
        A file is damaged, or not what is needed, or they are of different models.
    """
    title = f"{base.label} → {tuned.label}"
    code = f"base, tuned = {base.label!r}, {tuned.label!r}  # the files that you uploaded"
    return _pair(
        title,
        (base, tuned),
        (base.label, tuned.label),
        f"uploaded files {title}",
        "as their owner decides",
        code,
    )


def _file_key(file: MemoryFile) -> object:
    return hashkey(*file.key)


@cached(LRUCache(64), key=_file_key, condition=threading.Condition())
def contents_of(file: MemoryFile) -> Contents:
    """Say what an uploaded file is, from its header.

    Raises
    ------
    ValueError
        It is damaged.
    """
    return what(file, max_tensors=host().max_tensors)


def hub_allowed() -> bool:
    """Return whether the host lets visitors read models from the Hub: LOLORA_ALLOW_HUB=1.

    With HF_TOKEN set, and not LOLORA_HOSTED, they read what that token may read.
    """
    return host().allow_hub


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
    limits = host()
    return _pair(
        f"{base} → {tuned}",
        (base, tuned),
        (base, tuned),
        f"Hugging Face Hub, {base} and {tuned}",
        "see the model cards",
        access=Access(anonymous=limits.hosted, most_bytes=limits.max_hub_mb * MEGABYTE),
    )


def hub_pair_held(base: str, tuned: str) -> bool:
    """Return whether `hub_pair` has opened these already, and asks the Hub for nothing."""
    return is_held(hub_pair, base, tuned)


def paths_allowed() -> bool:
    """Return whether visitors may name files of the machine that runs the app.

    Only where whoever runs it says so, with LOLORA_ALLOW_PATHS=1, as ``make app`` does.
    """
    return host().allow_paths


def local_pair(base: str, tuned: str) -> Pair:
    """Open two files or folders of this machine; only headers are read.

    Raises
    ------
    OSError, ValueError
        It is not allowed, not there, not what is needed, or they are of different models.
    """
    if not paths_allowed():
        raise ValueError("This host does not read paths.")
    found = [Path(where).expanduser() for where in (base, tuned)]
    for path in found:
        # What is not there would be taken for a model id.
        if not path.exists():
            raise FileNotFoundError(f"{printable(str(path))} is not on this machine")
    first, second = map(str, found)
    return _pair(
        f"{found[0].name} → {found[1].name}",
        (first, second),
        (first, second),
        f"this machine, {first} and {second}",
        "as their owner decides",
    )


def _pair(
    title: str,
    sources: tuple[SourceLike, SourceLike],
    paths: tuple[str, str],
    provenance: str,
    licence: str,
    code: str = "",
    access: Access = UNBOUNDED,
) -> Pair:
    limits = host()
    first, second = open_pair(
        *sources,
        max_tensors=limits.max_tensors,
        access=access,
        max_entries=limits.max_update_entries,
    )
    assert first is not None
    lines = code or f"base, tuned = {paths[0]!r}, {paths[1]!r}"
    return Pair(title, first, second, provenance, licence, lines, paths)


def update_target(pair: Pair, name: str) -> Target:
    """Return ΔW of one matrix as a target; see `lolora_core.checkpoints.update_target`."""
    made = checkpoints.update_target(
        pair.base, pair.tuned, name, source=pair.provenance, licence=pair.licence
    )
    m, n = made.shape
    return replace(
        made,
        description=f"{made.title}, {pair.title}",
        cuts=tuple(cut for cut in pair.cuts if cut.rows <= m and cut.cols <= n),
        code=snippets.update_target(pair.code, name),
    )
