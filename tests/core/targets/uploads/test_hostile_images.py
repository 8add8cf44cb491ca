"""Images that are small as files and cost much: refused before they are decoded."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from lolora_core.targets import ImageLimits, upload_image
from lolora_core.targets.uploads import images
from tests.core.targets.uploads.files import encoded, png_chunk, raw_png

SMALL = Image.linear_gradient("L").resize((40, 30))


def jpeg_of_scans(image: Image.Image, more: int) -> bytes:
    """Repeat the last scan of a progressive JPEG, of six: few bytes, and a pass over all pixels."""
    plain = encoded(image, "JPEG", progressive=True)
    last = plain[plain.rindex(b"\xff\xda") : -2]
    return plain[:-2] + last * more + b"\xff\xd9"


def test_a_jpeg_of_very_many_scans_is_refused() -> None:
    assert upload_image(jpeg_of_scans(SMALL, 94), name="x.jpg").shape == (30, 40)
    with pytest.raises(ValueError, match=r"^x\.jpg is a JPEG of 101 scans over 0\.0012 megapixels"):
        upload_image(jpeg_of_scans(SMALL, 95), name="x.jpg")


def test_scans_count_more_on_a_large_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_SCANNED", 40 * 30 * 8)
    assert upload_image(jpeg_of_scans(SMALL, 2), name="x.jpg").shape == (30, 40)
    with pytest.raises(ValueError, match=r"9 scans .* take too long to decode; save it again"):
        upload_image(jpeg_of_scans(SMALL, 3), name="x.jpg")


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_decoding_ends_when_its_time_is_over(file_format: str) -> None:
    said = r"^x takes longer than 0 seconds to decode; make it smaller, or save it again as a plain"
    with pytest.raises(ValueError, match=said):
        upload_image(encoded(SMALL, file_format), name="x", limits=ImageLimits(seconds=0))


def test_the_time_is_looked_at_while_pixels_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0] * 60)
    monkeypatch.setattr(images.time, "thread_time", lambda: next(clock, 99.0))
    chunks = png_chunk(b"IDAT", b"") * 60
    plain = encoded(SMALL)
    at = plain.index(b"IDAT") - 4
    with pytest.raises(ValueError, match="takes longer than 10 seconds"):
        upload_image(plain[:at] + chunks + plain[at:], name="x")


def test_pixels_and_sides_are_bounded_before_decoding() -> None:
    limits = ImageLimits(pixels=1_000_000)
    assert upload_image(encoded(Image.new("L", (1000, 1000))), name="x", limits=limits).shape
    with pytest.raises(ValueError, match=r"1 megapixels; at most 1 megapixels are accepted"):
        upload_image(encoded(Image.new("L", (1001, 1000))), name="x", limits=limits)
    for size in ((65_536, 1), (1, 65_536)):
        with pytest.raises(ValueError, match=r"a side may have at most 65,535\. Cut it into"):
            upload_image(encoded(Image.new("L", size)), name="x")
    assert upload_image(encoded(Image.new("L", (65_535, 1))), name="x").shape == (1, 512)
    assert upload_image(encoded(Image.new("L", (1, 65_535))), name="x").shape == (512, 1)


@pytest.mark.parametrize("shape", [(2, 2), (40, 30)])
def test_a_palette_image_without_a_palette_is_damaged(shape: tuple[int, int]) -> None:
    width, height = shape
    rows = (b"\0" + bytes(width)) * height
    with pytest.raises(ValueError, match="is cut off or damaged inside"):
        upload_image(raw_png(width, height, bits=8, colour_type=3, rows=rows), name="x")


@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_of_many_pictures_the_first_alone_is_decoded(
    file_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shades = [Image.fromarray(np.full((9, 9, 3), 5 * n, np.uint8)) for n in range(1, 41)]
    data = encoded(shades[0], file_format, save_all=True, append_images=shades[1:])
    sought: list[int] = []
    monkeypatch.setattr(Image.Image, "seek", lambda _, at: sought.append(at))
    target = upload_image(data, name="x")
    assert "the first of 40 pictures in the file" in target.notes
    assert not any(sought)
    np.testing.assert_allclose(target.array, 5 / 255, atol=0.01)


def test_an_icc_profile_that_unpacks_to_much_is_refused() -> None:
    profile = io.BytesIO()
    SMALL.save(profile, "PNG", icc_profile=bytes(5_000_000))
    with pytest.raises(ValueError, match="not a readable PNG"):
        upload_image(profile.getvalue(), name="x")
