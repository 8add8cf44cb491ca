"""The updates of an adapter, read one module at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Float
from torch import Tensor

from lolora_core.adapters.lycoris_forms import DenseUpdate, dense_delta
from lolora_core.adapters.sets import AdapterSet
from lolora_core.common.names import printable
from lolora_core.files.header import TensorInfo, matrix_views
from lolora_core.files.tensors import TensorSource

__all__ = ["AdapterSource"]


@dataclass(frozen=True)
class AdapterSource:
    """The updates ΔW of an adapter as a source: one tensor "MODULE.weight" for each module.

    Attributes
    ----------
    adapters : AdapterSet
        What is a product of factors; without terms where nothing is.
    label, identity : str
    dense : mapping of str to DenseUpdate
        Modules whose update is made from its parts when it is asked for.
    file : TensorSource, optional
        Where those parts stand.
    """

    adapters: AdapterSet = field(repr=False)
    label: str
    identity: str
    dense: Mapping[str, DenseUpdate] = field(default_factory=dict, repr=False)
    file: TensorSource | None = field(default=None, repr=False)
    is_update: bool = True
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was cut or passed over when the adapter was read."""
        return self.adapters.notes

    @property
    def left_out(self) -> Mapping[str, str]:
        """Tensors of the file that are in no update, with the reason."""
        return self.adapters.left_out

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """The shape of each module's weight; (out, in·k_h·k_w) for a convolution."""
        shapes = {name: held[0].layout.grid.shape for name, held in self.adapters.terms.items()}
        shapes |= {module: update.shape for module, update in self.dense.items()}
        return {
            name: TensorInfo(name, "F32", shape, *matrix_views("F32", shape))
            for module, shape in shapes.items()
            for name in [f"{module}.weight"]
        }

    def read(self, name: str) -> Float[Tensor, "m n"]:
        """Return ΔW of one module."""
        module = name.removesuffix(".weight")
        if module not in self.dense or self.file is None:
            return self.adapters.delta(module)
        update = self.dense[module]
        parts = {part: self.file.read(key) for part, key in update.parts.items()}
        return dense_delta(update.form, parts, update.scale).flatten(1)

    def reject_large(self, max_entries: int) -> None:
        """Raise ValueError for a LoHa or a LoKr whose few numbers span more than `max_entries`.

        ΔW of a LoRA need not be made to be compared; theirs must.
        """
        for module, update in self.dense.items():
            rows, cols = update.shape
            if rows * cols > max_entries:
                raise ValueError(
                    f"{printable(module)} of {self.label} is an update of {rows:,} × {cols:,}; at "
                    f"most {max_entries:,} entries are read"
                )

    def held_rank(self, name: str) -> int:
        """Return the largest rank that the parts of one module can give ΔW."""
        module = name.removesuffix(".weight")
        if module in self.dense:
            return self.dense[module].rank
        layouts = [term.layout for term in self.adapters.terms[module]]
        return min(sum(layout.most_rank for layout in layouts), *layouts[0].grid.shape)
