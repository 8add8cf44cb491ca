"""Uploaded .npy files: what is read rightly, and that the rest is refused in a sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lolora_core.targets import (
    upload_npy,
)
from tests.core.targets.uploads.files import (
    HEADER,
    RNG,
    npy,
    npy_with_header,
)


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
            np.array([[-(2**49), 0]]),
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
