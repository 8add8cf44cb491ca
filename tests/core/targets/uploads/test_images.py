"""Uploaded images: what is read rightly, and that everything else is refused in a sentence."""

from __future__ import annotations

import struct
import tracemalloc
import warnings
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lolora_core.targets import (
    MAX_SIDE,
    upload_image,
)
from lolora_core.targets.images import GREY_NOTE
from tests.core.targets.uploads.files import (
    RNG,
    encoded,
    npy,
    palette_with_hole,
    png_chunk,
    raw_png,
)


def test_grey_image_is_divided_by_255() -> None:
    levels = np.array([[0, 51, 255], [1, 2, 3]], np.uint8)
    target = upload_image(encoded(Image.fromarray(levels)), name="holiday/grey.png")
    assert np.array_equal(target.array, levels / 255)
    assert target.array.dtype == np.float64
    assert (target.kind, target.title, target.value_range) == ("upload", "grey.png", (0.0, 1.0))
    assert target.notes == ("8-bit values divided by 255",)
    assert target.id == f"upload-{target.sha256[:12]}"
    assert not target.array.flags.writeable


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "JPEG"])
def test_colour_image_becomes_grey_or_stays(file_format: str) -> None:
    options: dict[str, Any] = {"lossless": True} if file_format == "WEBP" else {}
    data = encoded(Image.new("RGB", (16, 8), (200, 100, 40)), file_format, **options)
    colour = upload_image(data, name="x", colour=True)
    expected = np.array([200, 100, 40]) / 255
    assert colour.array.shape == (8, 16, 3)
    np.testing.assert_allclose(colour.array[3, 3], expected, atol=0.01)
    grey = upload_image(data, name="x")
    assert grey.shape == (8, 16)
    np.testing.assert_allclose(
        grey.array, colour.array @ np.array([0.2125, 0.7154, 0.0721]), atol=1e-12
    )
    assert GREY_NOTE in grey.notes
    assert GREY_NOTE not in colour.notes


def test_colour_of_a_grey_image_is_refused() -> None:
    with pytest.raises(ValueError, match=r"g\.png is a grey image; switch colour off"):
        upload_image(encoded(Image.new("L", (3, 2))), name="g.png", colour=True)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_obeyed(orientation: int) -> None:
    # How a pixel array is stored so that a viewer that obeys the tag shows `upright`.
    upright = np.zeros((32, 48), np.uint8)
    upright[:16, :24] = 255
    upright[16:, 24:] = 128
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: upright.T[::-1],
        7: upright.T[::-1, ::-1],
        8: upright.T[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.ascontiguousarray(stored))
    for data in (encoded(image, "JPEG", exif=exif, quality=100), encoded(image, "PNG", exif=exif)):
        target = upload_image(data, name="phone.jpg")
        np.testing.assert_allclose(target.array, upright / 255, atol=0.02)
        assert ("turned as its EXIF orientation says" in target.notes) == (orientation > 1)


def test_sixteen_bit_grey_keeps_its_bits() -> None:
    levels = np.array([[0, 1, 32768], [65535, 256, 257]], np.uint16)
    target = upload_image(encoded(Image.fromarray(levels)), name="x.png")
    assert np.array_equal(target.array, levels / 65535)
    assert "16-bit values divided by 65,535" in target.notes
    holes = upload_image(encoded(Image.fromarray(levels), transparency=256), name="x.png")
    assert holes.array[1, 1] == 1.0
    assert holes.array[1, 2] == 257 / 65535
    large = np.full((40, 20), 30000, np.uint16)
    small = upload_image(encoded(Image.fromarray(large)), name="x.png", side=16)
    assert small.shape == (16, 8)
    np.testing.assert_allclose(small.array, 30000 / 65535, rtol=1e-6)


def test_sixteen_bit_colour_is_read_as_eight_and_says_so() -> None:
    row = b"\0" + struct.pack(">6H", 65535, 0, 0, 0, 65535, 257 * 100)
    data = raw_png(2, 2, bits=16, colour_type=2, rows=row * 2)
    target = upload_image(data, name="x.png", colour=True)
    assert np.array_equal(target.array[0], np.array([[255, 0, 0], [0, 255, 100]]) / 255)
    assert any("16 bits per channel are read as 8" in note for note in target.notes)


def test_palette_colours_are_looked_up() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    target = upload_image(encoded(image), name="x.png", colour=True)
    assert (target.array * 255).round().tolist() == [[[10, 20, 30], [40, 50, 60]]]
    assert not any("transparent" in note for note in target.notes)


@pytest.mark.parametrize(
    ("data", "grey"),
    [
        (encoded(Image.new("RGBA", (1, 1), (0, 0, 0, 0))), 1.0),
        (encoded(Image.new("RGBA", (1, 1), (0, 0, 0, 102))), 0.6),
        (encoded(Image.new("RGBA", (1, 1), (0, 0, 0, 255))), 0.0),
        (encoded(Image.new("LA", (1, 1), (0, 51))), 0.8),
        (encoded(Image.new("L", (1, 1), 7), transparency=7), 1.0),
        (palette_with_hole(), 1.0),
        (encoded(Image.new("RGBA", (1, 1), (0, 0, 0, 0)), "WEBP", lossless=True), 1.0),
    ],
    ids=["clear", "40 % black", "black", "grey and alpha", "grey key", "palette", "webp"],
)
def test_transparency_is_laid_on_white(data: bytes, grey: float) -> None:
    target = upload_image(data, name="x")
    assert target.array.item() == pytest.approx(grey, abs=1e-9)
    assert "transparent parts laid on white" in target.notes


def test_transparency_survives_resizing() -> None:
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 32, 64))
    target = upload_image(encoded(image), name="x.png", side=16)
    assert target.shape == (16, 16)
    assert target.array[:, 0].max() == 0
    assert target.array[:, -1].min() == 1


def test_only_larger_images_are_resized_and_the_note_says_from_and_to() -> None:
    image = Image.fromarray(RNG.integers(0, 256, (90, 200), dtype=np.uint8))
    untouched = upload_image(encoded(image), name="x.png", side=200)
    assert untouched.shape == (90, 200)
    assert not any("resized" in note for note in untouched.notes)
    smaller = upload_image(encoded(image), name="x.png", side=100)
    assert smaller.shape == (45, 100)
    assert any("resized from 200×90 to 100×45 pixels" in note for note in smaller.notes)
    assert 0 <= smaller.array.min() <= smaller.array.max() <= 1
    assert upload_image(encoded(Image.new("L", (1, 999))), name="x", side=16).shape == (16, 1)


@pytest.mark.parametrize("side", [15, MAX_SIDE + 1, -1])
def test_side_is_bounded(side: int) -> None:
    with pytest.raises(ValueError, match=f"side must lie between 16 and 2048, but it is {side}"):
        upload_image(encoded(Image.new("L", (3, 2))), name="x", side=side)


def test_side_must_be_an_integer() -> None:
    wrong: Any
    for wrong in (64.0, "64", True):
        with pytest.raises(TypeError, match="side must be an integer"):
            upload_image(encoded(Image.new("L", (3, 2))), name="x", side=wrong)


@pytest.mark.parametrize(
    ("width", "height", "message"),
    [
        (10_000, 5_001, "10,000 × 5,001 pixels, that is 50 megapixels; at most 50 megapixels"),
        (12_000, 9_000, "12,000 × 9,000 pixels, that is 108 megapixels; at most 50 megapixels"),
        (60_000, 60_000, "is too large: at most 50 megapixels"),
    ],
)
def test_bombs_are_refused_by_their_header(width: int, height: int, message: str) -> None:
    bomb = raw_png(width, height, bits=8, colour_type=0, rows=b"")
    limit = Image.MAX_IMAGE_PIXELS
    tracemalloc.start()
    with pytest.raises(ValueError, match=message):
        upload_image(bomb, name="bomb.png")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000
    assert limit == Image.MAX_IMAGE_PIXELS


def test_bombs_in_text_chunks_are_refused() -> None:
    whole = encoded(Image.new("L", (4, 4)))
    text = png_chunk(b"zTXt", b"a\0\0" + zlib.compress(b"0" * 100_000_000))
    with pytest.raises(ValueError, match="not a readable PNG"):
        upload_image(whole[:33] + text + whole[33:], name="x.png")


@pytest.mark.parametrize(
    "data",
    [
        b"hello",
        encoded(Image.new("L", (8, 8)), "GIF"),
        encoded(Image.new("L", (8, 8)), "BMP"),
        encoded(Image.new("L", (8, 8)), "TIFF"),
        npy(np.eye(3)),
        b"\x89PNG\r\n\x1a\n",
    ],
    ids=["text", "gif", "bmp", "tiff", "npy", "magic only"],
)
def test_mislabelled_images_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"x\.png is not a readable PNG, JPEG or WebP image; save"):
        upload_image(data, name="x.png")


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_truncated_images_are_refused(file_format: str) -> None:
    noise = Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = encoded(noise, file_format)
    for share in (0.3, 0.9):
        with pytest.raises(ValueError, match=r"cut off or damaged|not a readable"):
            upload_image(data[: int(len(data) * share)], name="x")


def test_an_animation_gives_its_first_picture() -> None:
    frames = [Image.new("L", (4, 4), level) for level in (51, 255)]
    target = upload_image(encoded(frames[0], save_all=True, append_images=frames[1:]), name="x")
    assert "the first of 2 pictures in the file" in target.notes
    np.testing.assert_allclose(target.array, 0.2)


def test_reading_leaves_the_warning_filters_alone() -> None:
    damaged_exif = b"\xff\xd8\xff\xe1\x00\x12Exif\0\0II*\0\xff\xff\xff\xff"
    before = list(warnings.filters)
    target = upload_image(
        damaged_exif + encoded(Image.new("L", (4, 4), 255), "JPEG")[2:], name="x.jpg"
    )
    assert target.array.min() == 1
    assert warnings.filters == before
