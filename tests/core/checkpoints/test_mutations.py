"""Ten thousand damaged files: each ends in an answer or in a sentence."""

from __future__ import annotations

import json
import math
import random
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lolora_core.checkpoints import open_source, what
from lolora_core.files.header import STORED_DTYPES

SQUARE, ROW = ("F32", [4, 4]), ("F32", [4])
Tensors = dict[str, tuple[str, list[int]]]

#: Names of every format, with the dtype and shape that they have there.
FORMATS: tuple[Tensors, ...] = (
    {"h.0.fc.weight": SQUARE, "h.0.fc.bias": ROW, "wte.weight": ("BF16", [6, 4])},
    {"h.0.fc.weight": SQUARE},
    {"base_model.model.m.lora_A.weight": SQUARE, "base_model.model.m.lora_B.weight": SQUARE},
    {
        "base_model.model.m.gralora_A": ("F32", [2, 2, 4]),
        "base_model.model.m.gralora_B": ("F32", [2, 4, 2]),
    },
    {"base_model.model.m.hada_w1_a": SQUARE, "base_model.model.m.vera_lambda_b": ROW},
    {
        "lora_unet_m.lora_down.weight": SQUARE,
        "lora_unet_m.lora_up.weight": SQUARE,
        "lora_unet_m.alpha": ("F32", []),
        "lora_unet_m.dora_scale": ROW,
    },
    {"unet.m.to_q.lora_A.weight": SQUARE, "unet.m.to_q.lora_B.weight": SQUARE},
    {"m.attn1.processor.to_q_lora.up.weight": SQUARE, "m.to_q_lora.down.weight": SQUARE},
    {f"lora_unet_m.hada_w{n}_{part}": SQUARE for n in (1, 2) for part in "ab"},
    {"lora_unet_m.lokr_w1": SQUARE, "lora_unet_m.lokr_w2_a": SQUARE},
    {"lora_unet_m.diff": SQUARE, "lora_unet_m.diff_b": ROW, "m.w_norm": ROW},
    {"m.base_layer.weight": SQUARE, "m.lora_A.default.weight": SQUARE},
    {"m.weight": ("F8_E4M3", [4, 4]), "m.weight_scale_inv": ("F32", [1, 1])},
    {"m.weight": ("F8_E5M2", [4, 4]), "m.weight_scale": ("F32", [4, 1])},
    {"m.qweight": ("I32", [4, 4]), "m.qzeros": ("I32", [1, 4]), "m.scales": ("F16", [1, 4])},
    {"m.weight": ("U8", [8, 1]), "m.weight.absmax": ROW, "m.weight.quant_map": ROW},
    {"e.w_blocks": ("U8", [2, 4]), "e.w_scales": ("U8", [2])},
    {"state.0.exp_avg": SQUARE, "emb_params": SQUARE},
)
DTYPES = ("F32", "F16", "BF16", "F64", "I64", "F8_E4M3", "U8")
SHAPES: tuple[list[int], ...] = ([4, 4], [4], [], [0, 4], [2, 2, 4], [4, 2], [1, 4, 4, 1])
WILD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    3.5,
    1e400,
    2**80,
    "",
    "F32",
    "\0",
    [],
    [[]],
    {},
    {"a": 1},
    [None],
    "𝕏",
)
METADATA: tuple[Any, ...] = (
    {"lolora": "update"}, {"lolora": 1}, [], "text", None, {"format": "pt"}, {"a": None},
    {"lora_adapter_metadata": "{"}, {"ss_network_module": "networks.lora"}, {"": ""},
)  # fmt: skip
COMMON: dict[str, Any] = {
    "r": 4,
    "target_modules": ["m"],
    "bias": "none",
    "modules_to_save": None,
    "fan_in_fan_out": False,
    "base_model_name_or_path": "owner/model",
}
LORA: dict[str, Any] = COMMON | {
    "peft_type": "LORA",
    "lora_alpha": 8,
    "rank_pattern": {},
    "alpha_pattern": {},
    "use_rslora": False,
    "use_dora": False,
    "init_lora_weights": True,
    "layer_replication": None,
}
GRALORA: dict[str, Any] = COMMON | {
    "peft_type": "GRALORA",
    "alpha": 8,
    "gralora_k": 2,
    "hybrid_r": 0,
}


@dataclass(frozen=True)
class Held:
    """Bytes as a file."""

    data: bytes
    label: str = "upload.safetensors"
    identity: str = "1"

    @property
    def size(self) -> int:
        return len(self.data)

    def read(self, start: int, end: int) -> bytearray:
        return bytearray(self.data[start:end])


def header_of(tensors: Tensors) -> dict[str, Any]:
    header: dict[str, Any] = {}
    end = 0
    for name, (dtype, shape) in tensors.items():
        size = math.prod(shape) * STORED_DTYPES[dtype].bits // 8
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    return header


def encoded(header: Any, values: bytes) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + values


def mutated_header(rng: random.Random, header: dict[str, Any]) -> dict[str, Any]:
    """Change one thing of a header, with the sizes kept or not."""
    names = list(header)
    name, other = rng.choice(names), rng.choice(names)
    entry = dict(header[name])
    way = rng.randrange(6)
    if way == 0:
        header[name], header[other] = header[other], header[name]
    elif way == 1:
        entry["dtype"] = rng.choice([*STORED_DTYPES, *WILD])
    elif way == 2:
        entry["shape"] = rng.choice([entry["shape"][::-1], [*entry["shape"], 1], *WILD])
    elif way == 3:
        entry[rng.choice(["dtype", "shape", "data_offsets"])] = rng.choice(WILD)
    elif way == 4:
        header["__metadata__"] = rng.choice(METADATA)
    else:
        header[rng.choice(("", "../x", "m.weight", "𝕏" * 9))] = header.pop(name)
        return header
    if way in (1, 2, 3):
        header[name] = entry
    return header


def damaged(rng: random.Random) -> bytes:
    """Make a file of one format or of several, and damage it, or not."""
    tensors: Tensors = {}
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        tensors |= rng.choice(FORMATS)
    if rng.random() < 0.3:
        names = rng.sample(list(tensors), rng.randrange(1, len(tensors) + 1))
        tensors = {name: tensors[name] for name in names}
    if rng.random() < 0.3:
        tensors = {n: (rng.choice(DTYPES), rng.choice(SHAPES)) for n in tensors}
    header = header_of(tensors)
    size = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    if rng.random() < 0.2:
        header["__metadata__"] = {"lolora": "update"}
    elif rng.random() < 0.4:
        header = mutated_header(rng, header)
    data = bytearray(encoded(header, rng.randbytes(size)))
    for _ in range(rng.choice((0, 0, 0, 1, 3))):
        at = rng.randrange(len(data))
        data[at] ^= 1 << rng.randrange(8)
    if rng.random() < 0.15:
        del data[rng.randrange(len(data)) :]
    if rng.random() < 0.05:
        start = rng.choice((b"GGUF", b"PK\x03\x04", b"\x80\x04", b"\x93NUMPY", b"{", b""))
        data[: len(start)] = start
    return bytes(data)


SENTENCES = (ValueError, FileNotFoundError)


def answers(where: Any, needs: Any = "any") -> tuple[str, str]:
    """Return what an input ends in; anything but a sentence is an error of this test."""
    try:
        kind = str(what(where).kind)
    except SENTENCES:
        kind = "damaged"
    try:
        source = open_source(where, needs=needs)
    except SENTENCES:
        return kind, "refused"
    for name in source.tensors:
        with suppress(*SENTENCES):
            source.read(name)
    return kind, "opened"


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_end_in_an_answer_or_a_sentence(seed: int) -> None:
    rng = random.Random(seed)
    ends: dict[str, int] = {}
    for _ in range(2300):
        file = Held(damaged(rng))
        for end in answers(file, rng.choice(("any", "weights", "update"))):
            ends[end] = ends.get(end, 0) + 1
    kinds = ("model", "matrices", "peft", "factors", "unmerged", "packed", "other")
    assert min(ends.get(kind, 0) for kind in (*kinds, "update", "opened", "refused")) > 10


def test_damaged_settings_end_in_an_answer_or_a_sentence(tmp_path: Path) -> None:
    rng = random.Random(9)
    ends: dict[str, int] = {}
    for _ in range(1000):
        kind = rng.choice((0, 1))
        settings: Any = dict((LORA, GRALORA)[kind])
        for _ in range(rng.choice((0, 1, 1, 2))):
            settings[rng.choice(list(settings))] = rng.choice(
                (*WILD, "GRALORA", "LOHA", "none", {"m": 2}, {"(": 1}, 4, 2)
            )
        if rng.random() < 0.1:
            settings.pop(rng.choice(list(settings)))
        text = json.dumps(rng.choice((settings,) * 9 + WILD)).encode()
        if rng.random() < 0.1:
            text = text[: rng.randrange(len(text) + 1)]
        (tmp_path / "adapter_config.json").write_bytes(text)
        header = header_of(FORMATS[2 + kind])
        values = bytes(max(entry["data_offsets"][1] for entry in header.values()))
        (tmp_path / "adapter_model.safetensors").write_bytes(encoded(header, values))
        for end in answers(tmp_path):
            ends[end] = ends.get(end, 0) + 1
    assert min(ends.get(end, 0) for end in ("peft", "other", "opened", "refused")) > 10
