"""Uploaded photographs: PNG, JPEG and WebP as matrices in [0, 1]."""

from __future__ import annotations

import io

import numpy as np
from PIL import ExifTags, Image, ImageOps

from lolora_core.common.names import display_name
from lolora_core.files.pickles import refuse_pickle_name
from lolora_core.targets.base import Array, Target
from lolora_core.targets.images import GREY_NOTE, to_grey
from lolora_core.targets.uploads.common import MAX_SIDE, check_bytes, quiet, upload_target

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_PIXELS = 50_000_000
MIN_SIDE = 16


def upload_image(data: bytes, *, name: str, side: int = 512, colour: bool = False) -> Target:
    """Make a target of the bytes of a PNG, JPEG or WebP file, as float64 in [0, 1].

    The EXIF orientation is obeyed, transparency is laid on white, a 16-bit grey image keeps its
    16 bits, and an image with a side longer than `side` is made smaller (Lanczos); the target's
    notes state each of these that happened.

    Parameters
    ----------
    data : bytes
        The file, of at most 50 megapixels.
    name : str
        Its name, for the title.
    side : int
        Pixels that the longer side has at most, from 16 to 2048.
    colour : bool
        Keep red, green and blue; otherwise grey.

    Raises
    ------
    TypeError, ValueError
        If the file is no such image, cut off or too large, `side` is out of bounds, or `colour`
        is asked of a grey image.

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
        image, notes = _decode(data, name)
        array, more = _to_array(image, int(side))
    notes += more
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


def _decode(data: bytes, name: str) -> tuple[Image.Image, list[str]]:
    """Read the pixels upright, after checking the size that the header states."""
    shown = display_name(name)
    too_large = f"at most {MAX_PIXELS // 1_000_000} megapixels are accepted; make it smaller first."
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise ValueError(f"{shown} is too large: {too_large}") from error
    except Exception as error:  # Pillow's parsers raise almost anything on broken files
        raise ValueError(
            f"{shown} is not a readable PNG, JPEG or WebP image; save it again as one of these."
        ) from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ValueError(
            f"{shown} has {width:,} × {height:,} pixels, that is {width * height / 1e6:.0f} "
            f"megapixels; {too_large}"
        )
    notes = []
    if image.format == "PNG" and data[24] == 16 and image.mode != "I;16":
        notes.append("16 bits per channel are read as 8, except in grey images without alpha")
    try:
        if (frames := getattr(image, "n_frames", 1)) > 1:
            notes.append(f"the first of {frames} pictures in the file")
        image.load()
        turned = image.getexif().get(ExifTags.Base.Orientation) in range(2, 9)
        upright = ImageOps.exif_transpose(image) if turned else image
    except Exception as error:  # as above
        raise ValueError(
            f"{shown} is cut off or damaged inside; upload the complete file."
        ) from error
    if turned:
        notes.append("turned as its EXIF orientation says")
    return upright, notes


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
