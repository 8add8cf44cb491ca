"""Uploaded .safetensors files: what is read rightly, and that the rest is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

from lolora_core.targets import (
    Target,
    list_tensors,
    upload_safetensors,
)
from tests.core.targets.uploads.files import (
    FILE,
    tensors_with_header,
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
    brain = torch.tensor([[1.5, -3.0], [1e12, 0.0]], dtype=torch.bfloat16).float().numpy()
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
