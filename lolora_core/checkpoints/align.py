"""An adapter's updates under the names and in the orientation of its base's weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from lolora_core.adapters.adapter_source import AdapterSource
from lolora_core.adapters.kinds import matrix_shape, weight_kinds
from lolora_core.adapters.stored import LINEAR, Stored
from lolora_core.checkpoints.sources import SourceLike, open_source
from lolora_core.files.header import TensorInfo
from lolora_core.files.tensors import TensorSource

__all__ = [
    "AlignedSource",
    "carried_settings",
    "held_rank",
    "left_out",
    "open_pair",
    "stored_kinds",
]


@dataclass(frozen=True)
class AlignedSource:
    """Updates of another source, some of them transposed.

    Attributes
    ----------
    source : TensorSource
    transposed : frozenset of str
        Names of the tensors whose axes change places.
    stored : mapping of str to Stored
        How the base stores the weight of each module.
    """

    source: TensorSource
    transposed: frozenset[str]
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
        """Those of the source."""
        return self.source.notes

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """Those of the source, in the orientation of the base."""
        found = dict(self.source.tensors)
        for name in self.transposed:
            shape = found[name].shape[::-1]
            found[name] = replace(found[name], shape=shape)
        return found

    def read(self, name: str) -> Tensor:
        """Return one update in the orientation of the base."""
        tensor = self.source.read(name)
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
    base: SourceLike | None, tuned: SourceLike
) -> tuple[TensorSource | None, TensorSource]:
    """Open base and tuned; the updates of an adapter are turned as the base stores its weights.

    PEFT decides by the class of the module: (B·A)ᵀ for transformers' Conv1D, B·A for nn.Linear,
    whatever flag the adapter carries.
    """
    first = None if base is None else open_source(base, needs="weights")
    second = open_source(tuned, needs="update" if base is None else "any")
    if first is None or first.is_update or not second.is_update:
        return first, second
    own = stored_kinds(second)
    found, turned = {}, set()
    for module, kind in weight_kinds(first.tensors, first.config).items():
        name = f"{module}.weight"
        if name not in second.tensors:
            continue
        here = matrix_shape(first.tensors[name].shape)
        there = matrix_shape(second.tensors[name].shape)
        flip = here != there
        if here[0] == here[1] and kind.stored.kind in ("linear", "conv1d"):
            flip = kind.stored.is_transposed != own.get(module, LINEAR).is_transposed
        if flip and here == there[::-1]:
            turned.add(name)
        found[module] = kind.stored
    rest = {module: kind for module, kind in own.items() if module not in found}
    return first, AlignedSource(second, frozenset(turned), {**rest, **found})


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
        return held_rank(source.source, name)
    return source.held_rank(name) if isinstance(source, AdapterSource) else None
