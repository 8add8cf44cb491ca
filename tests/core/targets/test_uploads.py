"""Uploads: what is read rightly, and that everything else is refused in a sentence."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tracemalloc
import warnings
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save

from lolora_core.targets import (
    MAX_SIDE,
    Target,
    check_extension,
    list_tensors,
    upload_image,
    upload_npy,
    upload_safetensors,
)
from lolora_core.targets.images import GREY_NOTE

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


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt", ".PT"])
def test_pickles_are_refused_by_name_with_how_to_convert(suffix: str) -> None:
    readers: list[Callable[[str], object]] = [
        check_extension,
        lambda name: upload_image(b"x", name=name),
        lambda name: upload_npy(b"x", name=name),
        lambda name: upload_safetensors(b"x", name=name, tensor="w"),
        lambda name: list_tensors(b"x", name=name),
    ]
    for reader in readers:
        with pytest.raises(ValueError, match=r"run code.*safetensors\.torch\.save_file") as caught:
            reader(f"folder/model{suffix}")
        assert str(caught.value).startswith(f"model{suffix} is a pickle by its name.")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.PNG", "image"),
        ("b.jpeg", "image"),
        ("c.webp", "image"),
        ("d.v2.npy", "npy"),
        ("e.safetensors", "safetensors"),
    ],
)
def test_extensions_announce_their_kind(name: str, kind: str) -> None:
    assert check_extension(name) == kind


@pytest.mark.parametrize("name", ["a.gif", "npy", "a.npy.zip", "", "safetensors."])
def test_other_extensions_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"is not accepted; upload \.png, .* or \.safetensors"):
        check_extension(name)


@pytest.mark.parametrize("renamed", [pickle.dumps([1]), b"PK\x03\x04" + b"\0" * 40])
def test_renamed_pickles_are_recognised(renamed: bytes) -> None:
    for reader in (
        lambda: upload_npy(renamed, name="a.npy"),
        lambda: list_tensors(renamed, name="a.safetensors"),
    ):
        with pytest.raises(ValueError, match=r"begins like a pickle or a torch\.save archive"):
            reader()


@pytest.mark.parametrize("reader", [upload_image, upload_npy, list_tensors])
def test_data_must_be_bytes_with_content(reader: Callable[..., object]) -> None:
    with pytest.raises(TypeError, match="data must be bytes, but it is str"):
        reader("text", name="a")
    with pytest.raises(ValueError, match="a is empty; upload a file with content"):
        reader(b"", name="a")


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


def palette_with_hole() -> bytes:
    image = Image.new("P", (1, 1))
    image.putpalette([10, 20, 30])
    return encoded(image, transparency=0)


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


@pytest.mark.parametrize("dtype", ["<f4", "<f8", ">f4", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_floats_stay_as_they_are(dtype: str, order: Any) -> None:
    array = np.asarray(RNG.standard_normal((5, 7)), dtype=dtype, order=order)
    target = upload_npy(npy(array), name="w.npy")
    assert target.array.dtype == np.dtype(dtype).newbyteorder("=")
    assert np.array_equal(target.array, array)
    assert target.value_range is None
    assert target.notes == ()


@pytest.mark.parametrize(
    ("array", "note"),
    [
        (np.eye(3, dtype=np.float16), "float16 converted to float32"),
        (np.eye(3, dtype=np.int16), "int16 converted to float32"),
        (np.eye(3, dtype=bool), "bool converted to float32"),
        (
            np.array([[2**24 + 1, 0]]),
            "int64 converted to float32, which may round values beyond ±2²⁴",
        ),
        (
            np.array([[-(2**63), 0]]),
            "int64 converted to float32, which may round values beyond ±2²⁴",
        ),
        (np.array([[2**24, 0]]), "int64 converted to float32"),
    ],
)
def test_npy_of_other_types_is_converted_and_says_so(array: np.ndarray, note: str) -> None:
    target = upload_npy(npy(array), name="w.npy")
    assert target.array.dtype == np.float32
    assert np.array_equal(target.array, array.astype(np.float32))
    assert target.notes == (note,)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(5), r"must hold a 2-D matrix, but its shape is \(5,\)"),
        (np.zeros((2, 2, 2)), r"must hold a 2-D matrix, but its shape is \(2, 2, 2\)"),
        (np.float64(3.0), r"must hold a 2-D matrix, but its shape is \(\)"),
        (np.zeros((0, 5)), r"must not be empty, but its shape is \(0, 5\)"),
        (np.eye(2) * 1j, r"holds complex values \(complex128\); save its real part"),
        (np.zeros((2, 2), "i4,f4"), "holds values of type .*; save it as float16, float32"),
        (np.full((2, 2), "a"), "holds values of type <U1"),
        (np.zeros((2, 2), "M8[s]"), "holds values of type datetime64"),
        (np.eye(2, dtype=np.longdouble), "holds values of type float128"),
        (
            np.array([[1.0, np.nan], [np.inf, 0]]),
            "holds 2 values .* infinite, first at row 0, column 1",
        ),
        (
            np.array([[1, 0], [np.inf, 0]], np.float16),
            "holds 1 value .* infinite, first at row 1, col",
        ),
    ],
)
def test_npy_that_is_no_matrix_is_refused(array: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=rf"w\.npy {message}"):
        upload_npy(npy(np.asarray(array)), name="w.npy")


class Trap:
    """An object whose unpickling would be noticed."""

    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit('unpickled')",)


def test_npy_with_objects_is_refused_and_never_unpickled() -> None:
    objects = np.empty((1, 1), dtype=object)
    objects[0, 0] = Trap()
    with pytest.raises(ValueError, match="holds Python objects, and opening them would run code"):
        upload_npy(npy(objects, allow_pickle=True), name="w.npy")


HEADER = "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"not numpy at all", "is not an .npy file; save a matrix with numpy.save"),
        (b"\x93NUMPY", "has an .npy header that is damaged, huge"),
        (npy(np.eye(4))[:40], "has an .npy header that is damaged"),
        (npy(np.eye(4))[:-1], r"announces the shape \(4, 4\) .* 127 bytes that follow"),
        (npy(np.eye(4)) + b"\0", r"announces the shape \(4, 4\) .* 129 bytes that follow"),
        (npy_with_header(HEADER % "(10**9, 10**9)"), "damaged, huge or of an unknown version"),
        (npy_with_header(HEADER % "(1000000000, 1000000000)"), "the 0 bytes that follow"),
        (npy_with_header(HEADER % f"({'9' * 4000}, {'9' * 4000})"), "the 0 bytes that follow"),
        (npy_with_header(HEADER % "(-2, -2)", b"\0" * 16), r"must not be empty.*\(-2, -2\)"),
        (npy_with_header("[" * 9000), "damaged, huge"),
        (npy_with_header(HEADER % "(2, 2)" + " " * 20_000, b"\0" * 16), "damaged, huge"),
        (
            npy_with_header(HEADER % "(2, 2)", b"\0" * 16, version=b"\x09\x00"),
            "of an unknown version",
        ),
        (npy_with_header("{'descr': '<f4', 'shape': (2L, 2L), 'fortran_order': 0}"), "damaged"),
    ],
    ids=lambda value: value if isinstance(value, str) else "file",
)
def test_damaged_npy_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        upload_npy(data, name="w.npy")
    assert len(str(caught.value)) < 400


def readers_of(matrix: np.ndarray) -> list[Callable[..., Target]]:
    as_npy = npy(matrix)
    as_tensor = save({"w": torch.from_numpy(matrix)})
    return [
        lambda **corner: upload_npy(as_npy, name="w.npy", **corner),
        lambda **corner: upload_safetensors(as_tensor, name="w.safetensors", tensor="w", **corner),
    ]


@pytest.mark.parametrize("which", [0, 1], ids=["npy", "safetensors"])
def test_large_matrices_are_read_through_a_window(which: int) -> None:
    matrix = np.arange(2100 * 10, dtype=np.float32).reshape(2100, 10)
    read = readers_of(matrix)[which]
    assert read().notes == ("a window: rows 0–2047 and columns 0–9 of 2100 × 10",)
    assert np.array_equal(read().array, matrix[:2048])
    corner = read(row=2000, col=3)
    assert np.array_equal(corner.array, matrix[2000:, 3:])
    assert corner.notes == ("a window: rows 2000–2099 and columns 3–9 of 2100 × 10",)
    whole = readers_of(matrix[:2048])[which]()
    assert whole.notes == ()
    assert whole.shape == (2048, 10)
    for corner_name, value, message in (
        ("row", 2100, "row must lie between 0 and 2099 for a 2100 × 10 matrix, but it is 2100"),
        ("row", -1, "row must lie between 0 and 2099"),
        ("col", 10, "col must lie between 0 and 9"),
    ):
        with pytest.raises(ValueError, match=message):
            read(**{corner_name: value})
    for wrong in (1.0, "1", True):
        with pytest.raises(TypeError, match="row must be an integer"):
            read(row=wrong)


@pytest.mark.parametrize("which", [0, 1], ids=["npy", "safetensors"])
def test_positions_in_a_window_count_from_the_whole_matrix(which: int) -> None:
    matrix = np.zeros((30, 8), np.float32)
    matrix[20, 5] = np.nan
    with pytest.raises(
        ValueError, match="1 value that is NaN or infinite, first at row 20, column 5"
    ):
        readers_of(matrix)[which](row=10, col=2)


FILE = save(
    {
        "linear": torch.randn(6, 4, generator=torch.Generator().manual_seed(0)),
        "double": torch.eye(3, dtype=torch.float64),
        "half": torch.tensor([[1.5, -2.25]], dtype=torch.float16),
        "brain": torch.tensor([[1.5, -3.0], [1e30, 0.0]], dtype=torch.bfloat16),
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
INFO = {info.name: info for info in list_tensors(FILE)}


def test_tensors_are_listed_with_their_views_or_the_reason_why_not() -> None:
    assert len(INFO) == 15
    assert (INFO["linear"].dtype, INFO["linear"].shape) == ("F32", (6, 4))
    assert INFO["linear"].views == (("6 × 4", (6, 4)),)
    assert INFO["conv"].views == (
        ("2 × (3·5·7)", (2, 105)),
        ("(2·3) × (5·7)", (6, 35)),
        ("(2·3·5) × 7", (30, 7)),
    )
    assert INFO["pointwise"].views == (("3 × 2, unit axes removed", (3, 2)),)
    for info in INFO.values():
        assert bool(info.views) != bool(info.reason)


@pytest.mark.parametrize(
    ("tensor", "reason"),
    [
        ("bias", "it has 1 axis, and a matrix needs 2"),
        ("scalar", "it has no axis"),
        ("column", "only one axis of"),
        ("ids", "it holds integers"),
        ("mask", "it holds integers"),
        ("empty", "it is empty"),
        ("short", "its dtype F8_E4M3 is not read here; convert it to float16"),
        ("deep", "it has 9 axes"),
        ("complex", "its values are complex"),
    ],
)
def test_unusable_tensors_are_refused_with_their_reason(tensor: str, reason: str) -> None:
    assert reason in INFO[tensor].reason
    with pytest.raises(ValueError, match=f"{tensor} of m.safetensors cannot be used: {reason}"):
        upload_safetensors(FILE, name="m.safetensors", tensor=tensor)


def test_tensors_keep_their_values() -> None:
    def read(tensor: str, view: str | None = None) -> Target:
        return upload_safetensors(FILE, name="m.safetensors", tensor=tensor, view=view)

    linear = read("linear")
    expected = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)).numpy()
    assert np.array_equal(linear.array, expected)
    assert linear.title == "m.safetensors: linear"
    assert linear.notes == ()
    assert read("double").array.dtype == np.float64
    assert read("half").array.tolist() == [[1.5, -2.25]]
    assert read("half").notes == ("float16 converted to float32",)
    brain = torch.tensor([[1.5, -3.0], [1e30, 0.0]], dtype=torch.bfloat16).float().numpy()
    assert np.array_equal(read("brain").array, brain)
    assert read("brain").array.dtype == np.float32
    assert read("brain").notes == ("bfloat16 converted to float32",)
    values = np.arange(210, dtype=np.float32)
    assert np.array_equal(read("conv").array, values.reshape(2, 105))
    middle = read("conv", "(2·3) × (5·7)")
    assert np.array_equal(middle.array, values.reshape(6, 35))
    assert middle.notes == ("the 2×3×5×7 tensor is read as (2·3) × (5·7)",)
    assert read("pointwise").array.tolist() == [[0, 1], [2, 3], [4, 5]]


def test_unknown_tensors_and_views_name_what_there_is() -> None:
    with pytest.raises(
        ValueError, match=r"one of the 15 in m \(bias, brain, .*, …\), but it is 'w'"
    ):
        upload_safetensors(FILE, name="m", tensor="w")
    with pytest.raises(
        ValueError, match=r"view must be one of '6 × 4' for linear, but it is '4 × 6'"
    ):
        upload_safetensors(FILE, name="m", tensor="linear", view="4 × 6")


def tensor_entry(**changes: Any) -> dict[str, Any]:
    return {"w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16], **changes}}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"abc", "is cut off, not a safetensors file"),
        (b"\0" * 16, "is cut off, not a safetensors file"),
        (b"plain text that is no tensor file", "is cut off, not a safetensors file"),
        ((2**63).to_bytes(8, "little") + b"{}", "is cut off, not a safetensors file"),
        (tensors_with_header(b"{}".ljust(10_000_001)), "a header above 10 MB"),
        (tensors_with_header(b"{]"), "damaged safetensors header"),
        (tensors_with_header(b"\xff\xfe"), "damaged safetensors header"),
        (tensors_with_header(b"[" * 100_000), "damaged safetensors header"),
        (tensors_with_header([]), "damaged safetensors header"),
        (tensors_with_header({}), "holds no tensors"),
        (tensors_with_header({"w": 3}), "damaged safetensors header"),
        (tensors_with_header({"w": {"dtype": "F32"}}), "'shape' is missing"),
        (tensors_with_header(tensor_entry(), b"\0" * 15), "the tensors end at byte"),
        (tensors_with_header(tensor_entry(), b"\0" * 17), "the tensors end at byte"),
        (tensors_with_header(tensor_entry(shape=[2, 3]), b"\0" * 16), "its shape does not need"),
        (tensors_with_header(tensor_entry(shape=[-2, -2]), b"\0" * 16), "where a size belongs"),
        (tensors_with_header(tensor_entry(shape=[2.0, 2]), b"\0" * 16), "where a size belongs"),
        (tensors_with_header(tensor_entry(shape="22"), b"\0" * 16), "not a list of at most 64"),
        (tensors_with_header(tensor_entry(shape=[1] * 65), b"\0" * 16), "not a list of at most 64"),
        (tensors_with_header(tensor_entry(dtype="F33"), b"\0" * 16), "unknown dtype 'F33'"),
        (tensors_with_header(tensor_entry(dtype=["F32"]), b"\0" * 16), "dtype of w is not text"),
        (
            tensors_with_header(tensor_entry(data_offsets=[4, 20]), b"\0" * 20),
            "does not begin where the one before ends",
        ),
        (tensors_with_header(tensor_entry(data_offsets=[16, 0]), b"\0" * 16), "damaged"),
        (
            tensors_with_header({**tensor_entry(), "v": tensor_entry()["w"]}, b"\0" * 16),
            "does not begin where the one before ends",
        ),
        (
            tensors_with_header(
                b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
                b'"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
                b"\0" * 4,
            ),
            "a name occurs twice",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "file",
)
def test_damaged_safetensors_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        list_tensors(data, name="m.safetensors")
    assert len(str(caught.value)) < 400


def test_a_shape_of_endless_digits_is_refused_quickly() -> None:
    long = tensor_entry(shape=[10**4000] * 60)
    with pytest.raises(ValueError, match="where a size belongs"):
        list_tensors(tensors_with_header(long))


def test_nan_in_a_tensor_is_counted() -> None:
    data = save({"w": torch.tensor([[0.0, float("nan")], [float("inf"), 1.0]])})
    with pytest.raises(ValueError, match=r"m holds 2 values .* first at row 0, column 1"):
        upload_safetensors(data, name="m", tensor="w")


SAMPLES: list[tuple[Callable[..., object], bytes]] = [
    (upload_npy, npy(np.eye(3, dtype=np.float32))),
    (list_tensors, save({"w": torch.eye(2), "v": torch.ones(3, 1, 2, dtype=torch.bfloat16)})),
    (upload_image, encoded(Image.linear_gradient("L").resize((20, 20)))),
    (upload_image, encoded(Image.linear_gradient("L").resize((20, 20)), "JPEG")),
    (upload_image, encoded(Image.linear_gradient("L").resize((20, 20)), "WEBP")),
]


def refusal(reader: Callable[..., object], data: bytes) -> str | None:
    """Return what a reader says against the bytes, or None if it takes them."""
    try:
        reader(data, name="x")
    except ValueError as error:
        return str(error)
    return None


@settings(max_examples=150, deadline=None)
@given(
    which=st.integers(0, len(SAMPLES) - 1),
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 40),
)
def test_bytes_changed_at_random_are_read_or_refused_in_a_sentence(
    which: int, changes: list[tuple[int, int]], cut: int
) -> None:
    reader, sample = SAMPLES[which]
    damaged = bytearray(sample[: len(sample) - cut])
    for position, value in changes:
        damaged[position % len(damaged)] = value
    message = refusal(reader, bytes(damaged))
    assert message is None or (message.startswith("x ") and message.endswith("."))
