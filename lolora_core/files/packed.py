"""Quantised weights: which method packed them, told from names, dtypes and config.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from lolora_core.common.names import printable
from lolora_core.files.header import TensorInfo
from lolora_core.files.roles import Role, counted

__all__ = ["UNPACK", "Packed", "packed_weights"]

_PACKED_WORDS = {
    "fp8": "weights in fp8 with their scales",
    "gptq": "weights packed by GPTQ",
    "awq": "weights packed by AWQ",
    "bitsandbytes": "weights packed by bitsandbytes",
    "compressed-tensors": "weights packed by compressed-tensors",
    "mxfp4": "weights in MXFP4",
    "nvfp4": "weights in NVFP4",
}
#: What to do with weights that are not unpacked here.
UNPACK = (
    "use the checkpoint from before the quantisation, or load it with its own library, dequantise "
    "it and save it in bfloat16"
)


class Packed(NamedTuple):
    """How weights are quantised: the method, in words, and what tells so."""

    method: str
    words: str
    evidence: tuple[str, ...]


def packed_weights(
    tensors: Mapping[str, TensorInfo],
    roles: Mapping[Role, tuple[str, ...]],
    config: Mapping[str, Any],
) -> Packed | None:
    """Return how weights are quantised, by their names, dtypes and config.json; None if plain."""
    packed, scales = roles.get("packed weights", ()), roles.get("scales of packed weights", ())
    eight = tuple(n for n, info in tensors.items() if info.dtype.startswith("F8"))
    settings = config.get("quantization_config")
    stated = settings.get("quant_method") if isinstance(settings, Mapping) else None
    # The integers of a model that is not packed are positions and masks, of 64 bits or 1.
    whole = tuple(
        name
        for name in roles.get("integers", ())
        if tensors[name].dtype not in ("I64", "BOOL") and len(tensors[name].shape) > 1
    )
    method = _packed_method(
        packed or (whole if isinstance(stated, str) else ()), scales, eight, stated
    )
    if method is None:
        return None
    evidence = [
        counted(words, names)
        for words, names in (
            ("packed weights", packed),
            ("weights in 8-bit floats", eight if method == "fp8" else ()),
            ("scales and zero points", scales),
        )
        if names
    ]
    if isinstance(stated, str):
        evidence.append(f"config.json says quant_method {printable(stated)}")
    words = _PACKED_WORDS.get(method, f"weights packed by {printable(method)}")
    return Packed(method, words, tuple(evidence))


def _packed_method(
    packed: tuple[str, ...], scales: tuple[str, ...], eight: tuple[str, ...], stated: object
) -> str | None:
    ends = {name.rpartition(".")[2] for name in (*packed, *scales)}
    if any(name.endswith("_blocks") for name in packed):
        return "mxfp4"
    if {"weight_packed", "weight_global_scale"} & ends:
        return "compressed-tensors"
    if "weight_scale_2" in ends:
        return "nvfp4"
    if "qweight" in ends:
        named = isinstance(stated, str) and stated in ("gptq", "awq")
        return str(stated) if named else "gptq" if "g_idx" in ends else "awq"
    if {"absmax", "quant_map", "SCB"} & ends or any("quant_state" in name for name in scales):
        return "bitsandbytes"
    if eight and scales and not packed:
        return "fp8"
    if packed:
        return stated if isinstance(stated, str) and stated else "an unknown method"
    return None
