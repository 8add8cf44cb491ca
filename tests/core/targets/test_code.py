"""Every target carries the lines of Python that make it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from lolora_core.targets import (
    Target,
    catalogue,
    load,
    upload_image,
    upload_npy,
    upload_safetensors,
)


def made_by(code: str) -> Target:
    names: dict[str, Any] = {}
    exec(code, names)
    found = names["target"]
    assert isinstance(found, Target)
    return found


@pytest.mark.parametrize("id", [entry.id for entry in catalogue()])
def test_an_entry_is_made_again(id: str) -> None:
    assert made_by(load(id).code).sha256 == load(id).sha256


def test_colour_and_parameters_are_in_the_lines() -> None:
    for target in (load("astronaut", colour=True), load("low-rank", size=48, rank=3)):
        again = made_by(target.code)
        assert again.sha256 == target.sha256
        assert again.array.shape == target.array.shape


def test_an_upload_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 255, (40, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("it's mine.png")
    np.save("a.npy", rng.standard_normal((30, 20)))
    save_file({"w": rng.standard_normal((2, 3, 4))}, "a.safetensors")
    uploads = (
        upload_image(
            Path("it's mine.png").read_bytes(), name="it's mine.png", side=32, colour=True
        ),
        upload_npy(Path("a.npy").read_bytes(), name="a.npy", row=4, col=2),
        upload_safetensors(
            Path("a.safetensors").read_bytes(), name="a.safetensors", tensor="w", view="(2·3) × 4"
        ),
    )
    for target in uploads:
        assert made_by(target.code).sha256 == target.sha256
