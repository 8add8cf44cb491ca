"""Weights in 8-bit floats with their scales, read as float32."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lolora_core.files.header import STORED_DTYPES, TensorInfo, matrix_views
from lolora_core.files.roles import role_of
from lolora_core.files.tensors import SafetensorsSource

__all__ = ["ScaledSource", "dequantise"]

#: Side of a block where nothing else is stated, as in DeepSeek-V3's checkpoint.
_BLOCK = 128
_FLOATS = ("F64", "F32", "F16", "BF16", "F8_E8M0")


def dequantise(
    weight: Tensor, scale: Tensor, block: tuple[int, int] | None = None
) -> Float[Tensor, "*experts m n"]:
    """Return weight·scale in float32, the scale being one number, one a row, or one a block.

    Parameters
    ----------
    weight : Tensor, shape (…, m, n)
    scale : Tensor
        One entry; shape (m,) or (m, 1); or (…, ⌈m/b⌉, ⌈n/c⌉) for blocks of b×c, of which the
        last may be cut.
    block : (int, int), optional
        (b, c); by default 128×128 where that fits, else the blocks that divide the shape.

    Raises
    ------
    ValueError
        The scale has another shape.

    Examples
    --------
    >>> dequantise(torch.ones(3, 2), torch.tensor([[2.0], [4.0]]), (2, 2)).tolist()
    [[2.0, 2.0], [2.0, 2.0], [4.0, 4.0]]
    """
    value, factor = weight.float(), scale.float()
    sides = _block_of(tuple(weight.shape), tuple(scale.shape), block)
    if sides is None:
        shape = (1,) if factor.numel() == 1 else (*factor.shape[: value.ndim - 1], 1)
        return value * factor.reshape(shape)
    m, n = value.shape[-2:]
    spread = factor.repeat_interleave(sides[0], -2).repeat_interleave(sides[1], -1)
    return value * spread[..., :m, :n]


def _block_of(
    shape: tuple[int, ...], scale: tuple[int, ...], block: tuple[int, int] | None
) -> tuple[int, int] | None:
    """Return the sides of the blocks; None for one scale, or one a row."""
    if all(side == 1 for side in scale):
        return None
    m, n = shape[-2:]
    stacked = len(scale) == len(shape) and scale[:-2] == shape[:-2]
    for rows, cols in (block or (0, 0), (_BLOCK, _BLOCK)):
        if stacked and rows and cols and scale[-2:] == (-(-m // rows), -(-n // cols)):
            return rows, cols
    if scale in (shape[:-1], (*shape[:-1], 1)):
        return None
    if stacked and 0 not in scale and m % scale[-2] == 0 and n % scale[-1] == 0:
        return m // scale[-2], n // scale[-1]
    raise ValueError(f"its scales have the shape {scale}, which does not fit {shape}")


@dataclass(frozen=True)
class ScaledSource:
    """The tensors of a checkpoint in fp8: each weight times its scales, without these.

    A weight is W·s for "NAME_scale_inv" or "NAME_scale" (and ComfyUI's "scale_weight"), s one
    number, one a row or one a block.
    """

    stored: SafetensorsSource = field(repr=False)
    tensors: Mapping[str, TensorInfo] = field(init=False, repr=False)
    is_update: bool = False

    def __post_init__(self) -> None:
        found = {}
        for name, info in self.stored.tensors.items():
            if role_of(info) != "scales of packed weights":
                scale = self._scale_of(name) if info.dtype.startswith("F8") else None
                found[name] = info if scale is None else self._read_as(info, scale)
        object.__setattr__(self, "tensors", found)

    @property
    def label(self) -> str:
        """That of the files."""
        return self.stored.label

    @property
    def identity(self) -> str:
        """That of the files."""
        return f"{self.stored.identity} scaled"

    @property
    def config(self) -> Mapping[str, Any]:
        """The model's config.json."""
        return self.stored.config

    @property
    def notes(self) -> tuple[str, ...]:
        """That of the files, and that scales were multiplied in."""
        return (*self.stored.notes, "weights in fp8 are read as weight·scale, in float32")

    def read(self, name: str) -> Tensor:
        """Return one tensor, float32 where it has scales.

        Raises
        ------
        KeyError, ValueError
            There is none of that name; its scales do not fit it.
        """
        info, scale = self.stored.tensors[name], self._scale_of(name)
        if scale is None or not info.dtype.startswith("F8"):
            return self.stored.read(name)
        if reason := self._read_as(info, scale).reason:
            raise ValueError(f"{name} of {self.label} cannot be read: {reason}")
        return dequantise(
            self.stored.read_stored(name), self.stored.read_stored(scale), self._block
        )

    def _scale_of(self, name: str) -> str | None:
        known = (f"{name}_scale_inv", f"{name}_scale", f"{name.removesuffix('weight')}scale_weight")
        return next((scale for scale in known if scale in self.stored.tensors), None)

    def _read_as(self, info: TensorInfo, scale: str) -> TensorInfo:
        beside = self.stored.tensors[scale]
        dtypes = [STORED_DTYPES[part.dtype].torch for part in (info, beside)]
        try:
            if beside.dtype not in _FLOATS or not all(hasattr(torch, dtype) for dtype in dtypes):
                raise ValueError(f"its scales are {beside.dtype}, which is not read")
            if len(info.shape) < 2 or 0 in beside.shape:
                raise ValueError(f"its scales have the shape {beside.shape}")
            _block_of(info.shape, beside.shape, self._block)
        except ValueError as error:
            return TensorInfo(info.name, info.dtype, info.shape, (), str(error))
        return TensorInfo(info.name, "F32", info.shape, *matrix_views("F32", info.shape))

    @property
    def _block(self) -> tuple[int, int] | None:
        settings = self.config.get("quantization_config")
        stated = settings.get("weight_block_size") if isinstance(settings, Mapping) else None
        if not isinstance(stated, list) or len(stated) != 2:
            return None
        rows, cols = stated
        good = all(type(side) is int and 0 < side < 2**31 for side in stated)
        return (rows, cols) if good else None
