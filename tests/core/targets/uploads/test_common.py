"""What every upload has in common: names, bytes, windows, and damage of every kind."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save

from lolora_core.targets import (
    Target,
    check_extension,
    check_kind,
    list_tensors,
    upload_image,
    upload_npy,
    upload_safetensors,
)
from tests.core.targets.uploads.files import (
    encoded,
    npy,
)


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


def test_a_file_is_of_the_kind_that_its_content_is() -> None:
    kinds = {
        "image": (encoded(Image.new("L", (3, 3)), kind) for kind in ("PNG", "JPEG", "WEBP")),
        "npy": (npy(np.eye(3)),),
        "safetensors": (save({"w": torch.eye(2)}),),
    }
    for kind, files in kinds.items():
        for data in files:
            assert {check_kind(data, f"a.{end}") for end in ("png", "npy", "safetensors")} == {kind}
    assert check_kind(b"hello", "a.npy") == "npy"
    for name, message in (("a.pt", "pickle by its name"), ("a.txt", "not accepted")):
        with pytest.raises(ValueError, match=message):
            check_kind(npy(np.eye(3)), name)


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
    narrow = read(max_side=8)
    assert np.array_equal(narrow.array, matrix[:8, :8])
    assert narrow.code.endswith("max_side=8)")
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
