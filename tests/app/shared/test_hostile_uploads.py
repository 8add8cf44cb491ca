"""Uploads of strange shapes, and the limits of the host where a file is read."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from app.shared.scene import UploadChoice, preview, thumbnail, uploaded_target
from lolora_core.targets import Target, upload_npy
from tests.core.targets.uploads.files import encoded, npy


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((1, 20_000), (256, 64)),
        ((20_000, 1), (64, 256)),
        ((1, 1), (1, 1)),
        ((3, 2048), (256, 66)),
        ((700, 500), (500, 350)),
    ],
)
def test_a_preview_is_never_a_line(shape: tuple[int, int], size: tuple[int, int]) -> None:
    target = upload_npy(npy(np.ones(shape, np.float32)), name="a.npy")
    assert Image.open(io.BytesIO(preview(target))).size == size
    wide, tall = Image.open(io.BytesIO(thumbnail(target))).size
    assert 1 / 4 <= wide / tall <= 4


def read(data: bytes, kind: str) -> Target:
    digest = hashlib.sha256(data).hexdigest()
    return uploaded_target(data, digest, "a", UploadChoice(kind, side=2048))


def test_an_upload_is_read_within_the_limits_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOLORA_MAX_SIDE", "20")
    monkeypatch.setenv("LOLORA_MAX_PIXELS", "1000")
    matrix = read(npy(np.arange(900, dtype=np.float32).reshape(30, 30)), "npy")
    assert (matrix.shape, matrix.notes) == (
        (20, 20),
        ("a window: rows 0–19 and columns 0–19 of 30 × 30",),
    )
    assert read(encoded(Image.new("L", (40, 25))), "image").shape == (12, 20)
    with pytest.raises(ValueError, match=r"at most 0\.001 megapixels are accepted"):
        read(encoded(Image.new("L", (41, 25))), "image")
    monkeypatch.setenv("LOLORA_MAX_DECODE_SECONDS", "1e-9")
    with pytest.raises(ValueError, match="takes longer than 1e-09 seconds to decode"):
        read(encoded(Image.new("L", (39, 25))), "image")
