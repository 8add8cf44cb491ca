"""Adapters without their model: what is extracted, resized and exchanged with other tools."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lolora_core.adapters.config import AdapterConfig
from lolora_core.adapters.inject import adapter_config, adapter_layers, reject_adapters
from lolora_core.adapters.layer import BlockFactors
from lolora_core.adapters.layout import BlockLayout
from lolora_core.adapters.storage import (
    SavedLayouts,
    check_terms,
    install_terms,
    read_terms,
    reject_not_linear,
    write_terms,
)
from lolora_core.adapters.stored import LINEAR, Stored

__all__ = ["AdapterSet", "BlockTerm", "make_term"]


class BlockTerm(NamedTuple):
    """What one term is made from, before it is packed.

    Attributes
    ----------
    layout : BlockLayout
    factors : dict
        ``{(i, j): (B_ij, A_ij)}`` of every block with a rank; the update is B_ij·A_ij.
    """

    layout: BlockLayout
    factors: Mapping[tuple[int, int], tuple[Tensor, Tensor]]


@torch.no_grad()
def make_term(
    term: BlockTerm, scaling: float, dtype: torch.dtype | None = None, *, given: float = 1.0
) -> BlockFactors:
    """Pack factors: where the update is given·B_ij·A_ij, B_ij becomes given/scaling times itself.

    Parameters
    ----------
    term : BlockTerm
    scaling : float
        Of the new term.
    dtype : torch.dtype, optional
        Of the new factors; by default that of the old ones, and at least float32 where they are
        multiplied by a number, which would round once more in 16 bits.
    given : float
        Scaling of the factors as they are.

    Examples
    --------
    >>> import numpy as np
    >>> from lolora_core.blocks.grid import Grid
    >>> layout = BlockLayout(Grid.regular((2, 2), 1), np.array([[1]]))
    >>> pair = (torch.ones(2, 1), torch.ones(1, 2))
    >>> make_term(BlockTerm(layout, {(0, 0): pair}), 2.0).delta()
    tensor([[1., 1.],
            [1., 1.]])
    """
    ratio = given / scaling
    scaled = not math.isclose(ratio, 1, rel_tol=1e-12)
    some = next(iter(term.factors.values()))[0]
    wide = torch.promote_types(some.dtype, torch.float32) if scaled else some.dtype
    made = BlockFactors(term.layout, scaling, dtype or wide, some.device)
    made.requires_grad_(False)
    made.set_factors(
        {block: (b.to(wide) * ratio if scaled else b, a) for block, (b, a) in term.factors.items()}
    )
    return made


@dataclass(frozen=True, eq=False)
class AdapterSet:
    """The adapters of a model's modules by name, each one or more terms whose updates add up.

    Attributes
    ----------
    config : AdapterConfig
        Its scaling is that of every term.
    terms : dict of str to tuple of BlockFactors
        Their product is ΔW as the weight is stored; see `Stored`.
    stored : dict of str to Stored
        How the weights are stored; those that are not named are nn.Linear's.
    carried : dict of str to JSON values
        Settings of a PEFT adapter that change no ΔW and are written again, such as its base.
    left_out : dict of str to str
        Tensors of the file that are in no term, with the reason.
    notes : tuple of str
        What was cut or passed over when it was read.
    spelling : {"model", "file"}
        "file" where modules are called as kohya's and diffusers' files call them, after the part
        of a pipeline that they belong to; "model" for names of a model's modules.

    Examples
    --------
    >>> from lolora_core.adapters import add_adapters
    >>> model = add_adapters(nn.Sequential(nn.Linear(4, 4)), AdapterConfig(rank=2, grid=2))
    >>> adapters = AdapterSet.from_model(model)
    >>> adapters.num_parameters, adapters.delta("0").shape
    (16, torch.Size([4, 4]))
    """

    config: AdapterConfig
    terms: dict[str, tuple[BlockFactors, ...]]
    stored: dict[str, Stored] = field(default_factory=dict)
    carried: dict[str, Any] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    spelling: Literal["model", "file"] = "model"

    @classmethod
    def from_model(cls, model: nn.Module) -> AdapterSet:
        """Copy the adapters of a model.

        With init="svd" a second term takes away what was there at the start, so that the update
        is against the pretrained weight.
        """
        config = adapter_config(model)
        terms = {}
        for name, layer in adapter_layers(model).items():
            held = [_copy(term) for term in layer.block_terms]
            if config.init == "svd":
                held += [_start_taken_away(term) for term in layer.block_terms]
            terms[name] = tuple(held)
        return cls(config, terms)

    @classmethod
    def load(cls, folder: str | PathLike[str]) -> AdapterSet:
        """Read a folder of `save_adapters`.

        Raises
        ------
        FileNotFoundError, ValueError
            See `load_adapters`.
        """
        config, found, tensors, stored = read_terms(folder)
        check_terms(config, found, tensors)
        stages = ("", "start.") if config.init == "svd" else ("",)
        terms = {}
        for name, (_, layouts) in found.items():
            held = []
            for stage in stages:
                for at, layout in enumerate(layouts):
                    values = {
                        key: tensors[f"{name}.{at}.{stage}{key}"] for key in layout.tensor_shapes()
                    }
                    term = _empty(layout, config.scaling, next(iter(values.values())))
                    term.load(values)
                    held.append(_negative(term) if stage else term)
            terms[name] = tuple(held)
        return cls(config, terms, stored)

    def save(self, folder: str | PathLike[str]) -> None:
        """Write a folder that `load_adapters` gives to a model; whole or not at all."""
        write_terms(self._plain_config("saved"), self.terms, folder, self.stored)

    def install(self, model: nn.Module) -> nn.Module:
        """Give a model without adapters these, in place; see `load_adapters`."""
        reject_adapters(model)
        config = self._plain_config("given to a model")
        reject_not_linear(self.stored)
        found: SavedLayouts = {
            name: (held[0].layout.grid.shape, tuple(term.layout for term in held))
            for name, held in self.terms.items()
        }
        tensors = {
            f"{name}.{at}.{key}": value
            for name, held in self.terms.items()
            for at, term in enumerate(held)
            for key, value in term.packed().items()
        }
        install_terms(model, config, found, tensors)
        return model

    def _plain_config(self, what: str) -> AdapterConfig:
        if self.config.init == "svd":
            raise ValueError(
                f"adapters copied from init 'svd' cannot be {what}: their base is not the "
                "pretrained weight. Use save_adapters on the model"
            )
        return self.config

    def delta(self, name: str) -> Float[Tensor, "m n"]:
        """Return the dense ΔW of a module as its weight is stored, in float32 or float64.

        A convolution's has the shape (out, in·k_h·k_w).
        """
        first, *rest = (_delta(term) for term in self.terms[name])
        return sum(rest, start=first)

    def stored_as(self, name: str) -> Stored:
        """Return how the weight of a module is stored."""
        return self.stored.get(name, LINEAR)

    @property
    def num_parameters(self) -> int:
        """Σ r_ij·(h_i + w_j) over all terms and modules."""
        return sum(term.layout.num_parameters for held in self.terms.values() for term in held)

    @property
    def nbytes(self) -> int:
        """Bytes of the factors as they are stored."""
        return sum(
            p.numel() * p.element_size()
            for held in self.terms.values()
            for term in held
            for p in term.packed().values()
        )

    def to(self, dtype: torch.dtype) -> AdapterSet:
        """Return the same adapters with factors rounded to `dtype`."""
        terms = {
            name: tuple(_copy(term, dtype) for term in held) for name, held in self.terms.items()
        }
        return replace(self, terms=terms)


@torch.no_grad()
def _delta(term: BlockFactors) -> Tensor:
    dtype = term.A[0].dtype
    return (_copy(term, torch.float32) if dtype.itemsize < 4 else term).delta()


def _empty(layout: BlockLayout, scaling: float, like: Tensor) -> BlockFactors:
    return BlockFactors(layout, scaling, like.dtype, like.device).requires_grad_(False)


def _copy(term: BlockFactors, dtype: torch.dtype | None = None) -> BlockFactors:
    like = term.A[0].detach()
    made = _empty(term.layout, term.scaling, like if dtype is None else like.to(dtype))
    made.load({key: value.detach() for key, value in term.packed().items()})
    return made


@torch.no_grad()
def _negative(term: BlockFactors) -> BlockFactors:
    for piece in term.B:
        piece.neg_()
    return term


def _start_taken_away(term: BlockFactors) -> BlockFactors:
    made = _copy(term)
    made.load({key.removeprefix("start."): value for key, value in term.start.items()})
    return _negative(made)
