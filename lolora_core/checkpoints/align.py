"""An adapter's updates under the names and in the orientation of its base's weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from torch import Tensor

from lolora_core.adapters.adapter_source import AdapterSource
from lolora_core.adapters.kinds import WeightKind, matrix_shape, weight_kinds
from lolora_core.adapters.lora_names import match_base
from lolora_core.adapters.stored import LINEAR, Stored
from lolora_core.checkpoints.remote import UNBOUNDED, Access
from lolora_core.checkpoints.sources import MAX_ENTRIES, SourceLike, open_source
from lolora_core.files.header import MAX_TENSORS, TensorInfo
from lolora_core.files.tensors import TensorSource

__all__ = [
    "AlignedSource",
    "carried_settings",
    "held_rank",
    "left_out",
    "open_pair",
    "spelling_of",
    "stored_kinds",
]


@dataclass(frozen=True)
class AlignedSource:
    """Updates of another source under the names of a base, some of them transposed.

    Attributes
    ----------
    source : TensorSource
    names : mapping of str to str
        What each tensor is called in the source.
    transposed : frozenset of str
        Names of the tensors whose axes change places.
    stored : mapping of str to Stored
        How the base stores the weight of each module.
    """

    source: TensorSource
    names: Mapping[str, str] = field(repr=False)
    transposed: frozenset[str] = field(repr=False)
    stored: Mapping[str, Stored] = field(repr=False)
    is_update: bool = True

    @property
    def label(self) -> str:
        """That of the source."""
        return self.source.label

    @property
    def identity(self) -> str:
        """That of the source, and what is transposed."""
        return f"{self.source.identity} {sorted(self.transposed)}"

    @property
    def config(self) -> Mapping[str, Any]:
        """That of the source."""
        return self.source.config

    @property
    def notes(self) -> tuple[str, ...]:
        """Those of the source, and whether names were matched."""
        renamed = [(own, name) for name, own in self.names.items() if own != name]
        if not renamed:
            return self.source.notes
        own, name = renamed[0]
        matched = f"{len(renamed)} modules are matched to the base by their names, {own} to {name}"
        return (*self.source.notes, matched)

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """Those of the source, in the orientation of the base."""
        found = {}
        for name, own in self.names.items():
            info = self.source.tensors[own]
            shape = info.shape[::-1] if name in self.transposed else info.shape
            found[name] = replace(info, name=name, shape=shape)
        return found

    def read(self, name: str) -> Tensor:
        """Return one update in the orientation of the base."""
        tensor = self.source.read(self.names[name])
        return tensor.T.contiguous() if name in self.transposed else tensor


def stored_kinds(source: TensorSource) -> dict[str, Stored]:
    """Return how the weights of a source are stored, as far as an adapter says so itself."""
    if isinstance(source, AlignedSource):
        return dict(source.stored)
    if isinstance(source, AdapterSource):
        held = source.adapters
        return {name: held.stored_as(name) for name in (*held.terms, *held.stored)}
    return {}


def open_pair(
    base: SourceLike | None,
    tuned: SourceLike,
    *,
    max_tensors: int = MAX_TENSORS,
    access: Access = UNBOUNDED,
    max_entries: int = MAX_ENTRIES,
) -> tuple[TensorSource | None, TensorSource]:
    """Open base and tuned; the updates of an adapter are named and turned as the base's weights.

    PEFT decides by the class of the module: (B·A)ᵀ for transformers' Conv1D, B·A for nn.Linear,
    whatever flag the adapter carries. Modules of files of kohya and diffusers are matched by their
    names, see `match_base`. The last three arguments are those of `open_source`.
    """
    opened = partial(open_source, max_tensors=max_tensors, access=access, max_entries=max_entries)
    first = None if base is None else opened(base, needs="weights")
    second = opened(tuned, needs="update" if base is None else "any")
    if first is None or first.is_update or not second.is_update:
        return first, second
    kinds = weight_kinds(first.tensors, first.config)
    names = _names(second, kinds)
    own = stored_kinds(second)
    stored, turned = {}, set()
    for name, theirs in names.items():
        module, kind = name.removesuffix(".weight"), own.get(theirs.removesuffix(".weight"), LINEAR)
        if module in kinds:
            here = matrix_shape(first.tensors[name].shape)
            there = matrix_shape(second.tensors[theirs].shape)
            flip = here != there
            if here[0] == here[1] and kinds[module].stored.kind in ("linear", "conv1d"):
                flip = kinds[module].stored.is_transposed != kind.is_transposed
            if flip and here == there[::-1]:
                turned.add(name)
            kind = kinds[module].stored
        stored[module] = kind
    # Experts that have no update are among those, too.
    rest = {module: kind for module, kind in own.items() if f"{module}.weight" not in names}
    return first, AlignedSource(second, names, frozenset(turned), {**rest, **stored})


def _names(source: TensorSource, kinds: Mapping[str, WeightKind]) -> dict[str, str]:
    """Return the tensors of a source by the names that the base has for them."""
    modules = {name.removesuffix(".weight"): name for name in source.tensors}
    unknown = [module for module in modules if module not in kinds]
    matched = match_base(unknown, kinds) if isinstance(source, AdapterSource) else {}
    taken = set(modules) - set(unknown)
    found = {}
    for module, name in modules.items():
        theirs = matched.get(module, module)
        if theirs != module and theirs in taken:
            raise ValueError(f"{source.label} holds two updates of {theirs}; one is {module}")
        taken.add(theirs)
        found[f"{theirs}.weight" if theirs != module else name] = name
    return found


def spelling_of(source: TensorSource) -> Literal["model", "file"]:
    """Return whose names the modules of a source have; see `AdapterSet`."""
    return source.adapters.spelling if isinstance(source, AdapterSource) else "model"


def carried_settings(source: TensorSource) -> dict[str, Any]:
    """Return the settings of an adapter that go with its updates, as the name of its base."""
    if isinstance(source, AlignedSource):
        return carried_settings(source.source)
    return dict(source.adapters.carried) if isinstance(source, AdapterSource) else {}


def left_out(source: TensorSource) -> dict[str, str]:
    """Return the tensors of an adapter's file that are no update of a matrix, with the reason."""
    if isinstance(source, AlignedSource):
        return left_out(source.source)
    return dict(source.adapters.left_out) if isinstance(source, AdapterSource) else {}


def held_rank(source: TensorSource, name: str) -> int | None:
    """Return the largest rank that an adapter's factors can give one update; None without any."""
    if isinstance(source, AlignedSource):
        return held_rank(source.source, source.names[name])
    return source.held_rank(name) if isinstance(source, AdapterSource) else None
