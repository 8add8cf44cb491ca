"""Uploads made for the tests."""

from __future__ import annotations

import io
import json
import struct
import zlib
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save

RNG = np.random.default_rng(0)


def encoded(image: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def raw_png(width: int, height: int, *, bits: int, colour_type: int, rows: bytes) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    body = png_chunk(b"IHDR", head) + png_chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + body + png_chunk(b"IEND", b"")


def npy(array: np.ndarray, *, allow_pickle: bool = False) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=allow_pickle)
    return file.getvalue()


def npy_with_header(text: str, body: bytes = b"", *, version: bytes = b"\x01\x00") -> bytes:
    size = struct.pack("<H" if version == b"\x01\x00" else "<I", len(text))
    return b"\x93NUMPY" + version + size + text.encode() + body


def tensors_with_header(header: Any, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def palette_with_hole() -> bytes:
    image = Image.new("P", (1, 1))
    image.putpalette([10, 20, 30])
    return encoded(image, transparency=0)


HEADER = "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }\n"


FILE = save(
    {
        "linear": torch.randn(6, 4, generator=torch.Generator().manual_seed(0)),
        "double": torch.eye(3, dtype=torch.float64),
        "half": torch.tensor([[1.5, -2.25]], dtype=torch.float16),
        "brain": torch.tensor([[1.5, -3.0], [1e12, 0.0]], dtype=torch.bfloat16),
        "conv": torch.arange(2 * 3 * 5 * 7, dtype=torch.float32).reshape(2, 3, 5, 7),
        "pointwise": torch.arange(6, dtype=torch.float32).reshape(3, 2, 1, 1),
        "bias": torch.zeros(4),
        "scalar": torch.tensor(1.0),
        "column": torch.zeros(1, 1, 4),
        "ids": torch.zeros(2, 2, dtype=torch.int64),
        "mask": torch.zeros(2, 2, dtype=torch.bool),
        "empty": torch.zeros(0, 3),
        "short": torch.zeros(2, 2).to(torch.float8_e4m3fn),
        "deep": torch.zeros((1,) * 9),
        "complex": torch.zeros(2, 2, dtype=torch.complex64),
    },
    metadata={"format": "pt"},
)
