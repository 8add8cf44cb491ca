"""Uploaded photographs: PNG, JPEG and WebP as matrices in [0, 1]."""

from __future__ import annotations

import io
import math
import time
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps

from lolora_core.common.names import display_name
from lolora_core.files.pickles import refuse_pickle_name
from lolora_core.targets.base import Array, Target
from lolora_core.targets.images import GREY_NOTE, to_grey
from lolora_core.targets.uploads.common import MAX_SIDE, check_bytes, quiet, upload_target

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_PIXELS = 50_000_000
MAX_SECONDS = 10.0
MIN_SIDE = 16

#: Pixels of a side, as of JPEG: a longer one takes much memory to resize, however few pixels.
MAX_LENGTH = 65_535
#: Scans of a JPEG, of which progressive ones have about ten, and their number times the pixels.
MAX_SCANS = 100
MAX_SCANNED = 1_000_000_000
_START_OF_SCAN = b"\xff\xda"


class ImageLimits(NamedTuple):
    """What is decoded of an image.

    Attributes
    ----------
    pixels : int
        At most; known before anything is decoded.
    seconds : float
        Of computing.

    Examples
    --------
    >>> ImageLimits(pixels=10**6).seconds
    10.0
    """

    pixels: int = MAX_PIXELS
    seconds: float = MAX_SECONDS


#: Where no other are given.
LIMITS = ImageLimits()


def upload_image(
    data: bytes,
    *,
    name: str,
    side: int = 512,
    colour: bool = False,
    limits: ImageLimits = LIMITS,
) -> Target:
    """Make a target of the bytes of a PNG, JPEG or WebP file, as float64 in [0, 1].

    The EXIF orientation is obeyed, transparency is laid on white, a 16-bit grey image keeps its
    16 bits, and an image with a side longer than `side` is made smaller (Lanczos); the target's
    notes state each of these that happened.

    Parameters
    ----------
    data : bytes
        The file.
    name : str
        Its name, for the title.
    side : int
        Pixels that the longer side has at most, from 16 to 2048.
    colour : bool
        Keep red, green and blue; otherwise grey.
    limits : ImageLimits
        Pixels and seconds; by default 50 megapixels and 10.

    Raises
    ------
    TypeError, ValueError
        If the file is no such image, cut off, too large or too slow to decode, `side` is out
        of bounds, or `colour` is asked of a grey image.

    Examples
    --------
    >>> file = io.BytesIO()
    >>> Image.new("L", (3, 2), 255).save(file, "PNG")
    >>> upload_image(file.getvalue(), name="white.png").array.tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    refuse_pickle_name(name)
    check_bytes(data, name)
    if isinstance(side, bool) or not isinstance(side, (int, np.integer)):
        raise TypeError(f"side must be an integer, but it is {side!r}.")
    if not MIN_SIDE <= side <= MAX_SIDE:
        raise ValueError(f"side must lie between {MIN_SIDE} and {MAX_SIDE}, but it is {side}.")
    with quiet():
        array, notes = _read(data, name, int(side), limits)
    if colour and array.ndim == 2:
        raise ValueError(f"{display_name(name)} is a grey image; switch colour off for it.")
    if array.ndim == 3 and not colour:
        array = to_grey(array)
        notes.append(GREY_NOTE)
    return upload_target(
        array,
        name=name,
        what="image",
        notes=tuple(notes),
        value_range=(0.0, 1.0),
        reader="upload_image",
        options={"side": side, "colour": colour},
    )


class _TooSlowError(Exception):
    """Decoding takes too long."""


class _TimedBytes(io.BytesIO):
    """Bytes that are handed out until a thread has computed for so long; Pillow reads in parts."""

    def __init__(self, data: bytes, seconds: float) -> None:
        super().__init__(data)
        self.end = time.thread_time() + seconds

    def read(self, size: int | None = -1, /) -> bytes:
        if time.thread_time() >= self.end:
            raise _TooSlowError
        return super().read(size)


def _read(data: bytes, name: str, side: int, limits: ImageLimits) -> tuple[Array, list[str]]:
    """Decode, turn, resize and scale to [0, 1]."""
    shown = display_name(name)
    file = _TimedBytes(data, limits.seconds)
    try:
        image = _open(file, shown, limits)
        _check_scans(image, data, shown)
        upright, notes = _decode(image, data)
        array, more = _to_array(upright, side)
    except _RefusedError as refused:
        raise ValueError(str(refused)) from None
    except _TooSlowError:
        raise ValueError(
            f"{shown} takes longer than {limits.seconds:g} seconds to decode; make it smaller, or "
            "save it again as a plain PNG or JPEG."
        ) from None
    except Exception as error:  # Pillow's decoders raise almost anything on broken files
        raise ValueError(
            f"{shown} is cut off or damaged inside; upload the complete file."
        ) from error
    return array, notes + more


class _RefusedError(ValueError):
    """A sentence for whoever sent the file."""


def _open(file: _TimedBytes, shown: str, limits: ImageLimits) -> Image.Image:
    """Read the header, and check the size that it states before anything is decoded."""
    most = f"at most {limits.pixels / 1e6:g} megapixels are accepted; make it smaller first."
    try:
        image: Image.Image = Image.open(file, formats=FORMATS)
    except _TooSlowError:
        raise
    except Image.DecompressionBombError:
        raise _RefusedError(f"{shown} is too large: {most}") from None
    except Exception as error:  # as above
        raise _RefusedError(
            f"{shown} is not a readable PNG, JPEG or WebP image; save it again as one of these."
        ) from error
    width, height = image.size
    if width * height > limits.pixels:
        raise _RefusedError(
            f"{shown} has {width:,} × {height:,} pixels, that is {width * height / 1e6:.0f} "
            f"megapixels; {most}"
        )
    if max(width, height) > MAX_LENGTH:
        raise _RefusedError(
            f"{shown} has {width:,} × {height:,} pixels; a side may have at most {MAX_LENGTH:,}. "
            "Cut it into shorter pieces."
        )
    return image


def _check_scans(image: Image.Image, data: bytes, shown: str) -> None:
    """Refuse a JPEG that goes over its pixels again and again: a few bytes cost a whole pass."""
    scans = data.count(_START_OF_SCAN) if image.format in ("JPEG", "MPO") else 1
    if scans > MAX_SCANS or scans * math.prod(image.size) > MAX_SCANNED:
        raise _RefusedError(
            f"{shown} is a JPEG of {scans:,} scans over {math.prod(image.size) / 1e6:.3g} "
            f"megapixels, which would take too long to decode; save it again as a plain JPEG."
        )


def _decode(image: Image.Image, data: bytes) -> tuple[Image.Image, list[str]]:
    """Read the pixels upright."""
    notes = []
    if image.format == "PNG" and data[24] == 16 and image.mode != "I;16":
        notes.append("16 bits per channel are read as 8, except in grey images without alpha")
    if (frames := getattr(image, "n_frames", 1)) > 1:
        notes.append(f"the first of {frames} pictures in the file")
    image.load()
    if image.getexif().get(ExifTags.Base.Orientation) not in range(2, 9):
        return image, notes
    notes.append("turned as its EXIF orientation says")
    return ImageOps.exif_transpose(image), notes


def _to_array(image: Image.Image, side: int) -> tuple[Array, list[str]]:
    """Resize, lay on white, and scale to [0, 1]; shape (m, n) if the image is grey."""
    notes = []
    sixteen_bit = image.mode.startswith("I")
    transparent = image.has_transparency_data
    if sixteen_bit:
        levels = np.asarray(image).astype(np.float32)
        if transparent:
            levels[levels == image.info["transparency"]] = 65535
        image = Image.fromarray(levels)
        notes.append("16-bit values divided by 65,535")
    else:
        grey = image.mode in ("1", "L", "LA", "La")
        if image.mode == "CMYK":
            notes.append("CMYK converted to RGB without a colour profile")
        plain = "L" if grey else "RGB"
        image = image.convert("RGBA" if transparent else plain)
        notes.append("8-bit values divided by 255")
    if transparent:
        notes.append("transparent parts laid on white")

    width, height = image.size
    if max(width, height) > side:
        scale = side / max(width, height)
        smaller = max(1, round(width * scale)), max(1, round(height * scale))
        image = image.resize(smaller, Image.Resampling.LANCZOS)
        notes.append(
            f"resized from {width}×{height} to {smaller[0]}×{smaller[1]} pixels (width × height, "
            "Lanczos, values kept within the range)"
        )
    if sixteen_bit:
        return np.clip(np.asarray(image, dtype=np.float64) / 65535.0, 0.0, 1.0), notes
    if transparent:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert(plain)
    return np.asarray(image) / 255.0, notes
