"""Every reader of bytes from outside, good files for each, and ways to damage them."""

from __future__ import annotations

import json
import struct
import tempfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save
from torch import nn

from app.page_settings import EVERY
from app.shared.declared import pages
from app.shared.settings import apply_settings
from app.views.lessons.lesson import read_lesson
from app.views.what_if.paint import from_text
from lolora_core import Approximation, approximate
from lolora_core.adapters import AdapterConfig, add_adapters, load_adapters, save_adapters
from lolora_core.adapters.peft_read import open_peft
from lolora_core.checkpoints import open_source, what
from lolora_core.common.patterns import Matcher
from lolora_core.files.bounded_json import parse_json
from lolora_core.files.json_files import json_object
from lolora_core.files.tensors import SafetensorsSource
from lolora_core.targets import (
    asset_path,
    check_kind,
    list_tensors,
    upload_image,
    upload_npy,
    upload_safetensors,
)
from tests.core.checkpoints.test_mutations import FORMATS as TENSORS
from tests.core.checkpoints.test_mutations import GRALORA, LORA, Held, encoded, header_of
from tests.core.targets.uploads.files import FILE, npy, palette_with_hole
from tests.core.targets.uploads.files import encoded as image_file

#: What is done to a file: which of the ways, where, with what.
Edit = tuple[int, int, int]

#: Bytes that mean something in one format or another.
WORDS = (
    b"NaN", b"-Infinity", b"1e999", b"null", b"true", b"-1", b"9" * 30, b'"', b"{", b"[" * 99,
    b"]" * 9, rb"\ud800", b"\xff\xda", b"\xff\xff\xff\xff", b"\0" * 8, b"\x80\x04", b",", b"(a+)+",
    b"{9999}", b"x9999", b"_", b"\n", b"\xed\xa0\x80", b"__metadata__", b"IDAT", b"PLTE", b"F64",
)  # fmt: skip


@dataclass(frozen=True)
class Reader:
    """One door for bytes from outside.

    Attributes
    ----------
    name : str
    samples : callable
        Makes good files.
    read : callable
        Reads one; a ValueError is a sentence for whoever sent it.
    mend : callable, optional
        Makes checksums fit again, so that damage comes further.
    """

    name: str
    samples: Callable[[], Sequence[bytes]]
    read: Callable[[bytes], object]
    mend: Callable[[bytes], bytes] | None = None


def damaged(sample: bytes, edits: Sequence[Edit]) -> bytes:
    """Return a file after some edits."""
    data = bytearray(sample)
    for way, where, value in edits:
        at = where % (len(data) + 1)
        if way == 0:
            data[at : at + 1] = bytes([value])
        elif way == 1:
            del data[at:]
        elif way == 2:
            del data[at : at + 1 + value % 16]
        elif way == 3:
            data[at:at] = WORDS[value % len(WORDS)]
        elif way == 4:
            word = WORDS[value % len(WORDS)]
            data[at : at + len(word)] = word
        elif way == 5:
            data[at:at] = data[at : at + 1 + value]
        else:
            data[at : at + 1] = bytes([data[at] ^ 1 << value % 8]) if at < len(data) else b""
    return bytes(data)


#: How many ways `damaged` knows.
WAYS = 7


def ending(reader: Reader, data: bytes) -> str:
    """Read a file; return "read" or "refused", and fail where it ends in anything else."""
    try:
        reader.read(data)
    except ValueError as error:
        said, kind = str(error), type(error)
    else:
        return "read"
    own = kind is ValueError or kind.__module__.startswith("lolora_core")
    assert own, f"{kind.__name__} is no sentence: {said}"
    assert 10 < len(said) < 5000
    said.encode()
    return "refused"


def mend_png(data: bytes) -> bytes:
    """Return a PNG whose checksums fit, as far as it has chunks; other bytes as they are."""
    made, at = data[:8], 8
    while at + 12 <= len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        if at + 12 + size > len(data):
            break
        body = data[at + 4 : at + 8 + size]
        made += data[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + size
    return made + data[at:]


@cache
def _images() -> tuple[bytes, ...]:
    grey = Image.linear_gradient("L").resize((20, 20))
    colour = Image.merge("RGB", (grey, grey.rotate(90), grey))
    exif = Image.Exif()
    exif[0x0112] = 6
    return (
        image_file(colour),
        image_file(grey, pnginfo=None, icc_profile=b"icc"),
        image_file(colour, save_all=True, append_images=[colour.rotate(90)]),
        palette_with_hole(),
        image_file(colour, "JPEG", exif=exif),
        image_file(grey, "JPEG", progressive=True),
        image_file(colour, "WEBP"),
        image_file(colour, "WEBP", save_all=True, append_images=[colour.rotate(90)]),
    )


def _npys() -> tuple[bytes, ...]:
    return npy(np.eye(3)), npy(np.arange(6, dtype=np.int16).reshape(2, 3)), npy(np.eye(2) > 0)


def _read_tensors(data: bytes) -> None:
    for found in list_tensors(data, name="x"):
        if found.views:
            # Random bytes are often NaN, which is a refusal of one tensor.
            with suppress(ValueError):
                upload_safetensors(data, name="x", tensor=found.name)


@cache
def _checkpoints() -> tuple[bytes, ...]:
    made = []
    for tensors in TENSORS:
        header = header_of(tensors)
        made.append(encoded(header, bytes(max(e["data_offsets"][1] for e in header.values()))))
    return tuple(made)


def _read_checkpoint(data: bytes) -> None:
    file = Held(data)
    what(file)
    source = open_source(file)
    for name in source.tensors:
        with suppress(ValueError):
            source.read(name)


def _read_settings_of_peft(data: bytes) -> None:
    config = json_object(data, "adapter_config.json")
    tensors = 3 if config.get("peft_type") == "GRALORA" else 2
    open_peft(config, SafetensorsSource("x", (Held(_checkpoints()[tensors]),)))


def _read_tensors_of_peft(data: bytes) -> None:
    source = open_peft(LORA, SafetensorsSource("x", (Held(data),)))
    for name in source.tensors:
        source.read(name)


def _net() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 4))


@cache
def _own_adapter() -> tuple[bytes, bytes]:
    with tempfile.TemporaryDirectory() as made:
        save_adapters(add_adapters(_net(), AdapterConfig(rank=2, grid=2)), made)
        names = ("adapters.json", "adapters.safetensors")
        settings, tensors = ((Path(made) / name).read_bytes() for name in names)
    return settings, tensors


def _read_own_adapter(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as made:
        (Path(made) / "adapters.json").write_bytes(data)
        (Path(made) / "adapters.safetensors").write_bytes(_own_adapter()[1])
        load_adapters(_net(), made)


@cache
def _approximations() -> tuple[bytes, ...]:
    weights = np.eye(6) + np.outer(np.arange(6), np.ones(6))
    with tempfile.TemporaryDirectory() as made:
        files = []
        for family in ("global", "localized", "hybrid"):
            file = Path(made) / family
            approximate(weights, family, budget=40, grid=2).save(file)
            files.append(file.read_bytes())
    return tuple(files)


def _read_approximation(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as made:
        file = Path(made) / "a.safetensors"
        file.write_bytes(data)
        Approximation.load(file, max_entries=10**6).dense()


@cache
def _lessons() -> tuple[bytes, ...]:
    folder = asset_path("lessons/01-strips.json").parent
    return tuple(path.read_bytes() for path in sorted(folder.glob("*.json")))


@cache
def _settings() -> tuple[bytes, ...]:
    return (json.dumps({setting.key: setting.default for setting in EVERY}).encode(),)


def _read_settings(data: bytes) -> None:
    taken: dict[str, Any] = {}
    apply_settings(data, EVERY, lambda setting, value: taken.__setitem__(setting.key, value))
    json.dumps(taken)


def _read_painted(data: bytes) -> None:
    from_text(data.decode("utf-8", "replace"), (3, 4), np.full((3, 4), 8))


def _read_pattern(data: bytes) -> None:
    matcher = Matcher("rank_pattern", seconds=0.05)
    for name in ("model.layers.11.self_attn.q_proj", "a" * 40):
        matcher.fits(data.decode("utf-8", "replace"), name)


READERS = (
    Reader("image", _images, lambda data: upload_image(data, name="x"), mend_png),
    Reader("npy", _npys, lambda data: upload_npy(data, name="x")),
    Reader("tensors", lambda: (FILE, save({"w": torch.eye(2)})), _read_tensors),
    Reader("kind", lambda: (*_images(), *_npys()), lambda data: check_kind(data, "x.png")),
    Reader("checkpoint", _checkpoints, _read_checkpoint),
    Reader(
        "settings of PEFT",
        lambda: tuple(json.dumps(found).encode() for found in (LORA, GRALORA)),
        _read_settings_of_peft,
    ),
    Reader("tensors of PEFT", lambda: _checkpoints()[2:3], _read_tensors_of_peft),
    Reader("own adapter", lambda: _own_adapter()[:1], _read_own_adapter),
    Reader("approximation", _approximations, _read_approximation),
    Reader("lesson", _lessons, lambda data: read_lesson(data, "x", pages())),
    Reader("settings", _settings, _read_settings),
    Reader("painted map", lambda: (b"5x3.2_0.1.2x2_8x4",), _read_painted),
    Reader(
        "pattern", lambda: (rb"model\.layers\.(1|11)\..*[qv]_proj$", b"(a|b)*c?"), _read_pattern
    ),
    Reader("JSON", lambda: (b'{"a": [1, {"b": "\\u00e9", "c": -1e3}], "d": null}',), parse_json),
)
