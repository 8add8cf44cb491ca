"""Snapshots: what is held of a matrix, and which steps stay."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from app.views.fine_tune.film import Film, Frame, hold


def frame(step: int, scale: float = 1.0, size: int = 4) -> Frame:
    matrix = torch.full((size, size), scale)
    return Frame(step, {"global": {"layer": hold(matrix)}, "full": {"layer": hold(2 * matrix)}})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [1e-30, 1e-4, 1.0, 1e30])
def test_the_error_is_bounded_by_the_largest_entry(dtype: torch.dtype, size: float) -> None:
    matrix = torch.randn(20, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    if dtype == torch.float16:
        size = min(size, 1e4) if size > 1 else max(size, 1e-3)
    matrix = (matrix * size).to(dtype)
    held = hold(matrix)
    shown = held.dense()
    assert shown.dtype == np.float32
    assert held.values.nbytes == 2 * 20 * 30
    expected = matrix.double().numpy()
    largest = np.abs(expected).max()
    # Half a unit of float16, and the rounding of float32 twice.
    assert np.abs(shown - expected).max() <= (2**-12 + 2**-22) * largest
    assert np.abs(shown).max() == pytest.approx(largest, rel=1e-6)


def test_zero_is_held_and_what_is_not_finite_is_refused() -> None:
    assert not hold(torch.zeros(3, 2)).dense().any()
    for bad in (float("nan"), float("inf"), -float("inf")):
        with pytest.raises(ValueError, match="matrix must be finite"):
            hold(torch.tensor([[1.0, bad]]))


def test_what_is_held_is_a_copy() -> None:
    matrix = torch.ones(2, 2)
    held = hold(matrix)
    matrix.zero_()
    assert held.dense().all()


@given(steps=st.integers(1, 300), frames=st.integers(2, 40), extra=st.booleans())
def test_the_number_of_frames_is_bounded(steps: int, frames: int, extra: bool) -> None:
    film = Film(steps, max_frames=frames)
    # The page may ask for frames between those that are due.
    for step in range(steps + 1):
        if extra or step % film.every == 0 or step == steps:
            film.put(frame(step, size=1))
    kept = [f.step for f in film.frames]
    assert kept == sorted(set(kept))
    assert (kept[0], kept[-1]) == (0, steps)
    assert len(kept) <= frames + 1
    # No gap is longer than what the bound asks for.
    assert max(np.diff(kept)) <= -(-steps // (frames - 1))


@given(steps=st.integers(4, 200), fit=st.integers(2, 12))
def test_the_memory_is_bounded(steps: int, fit: int) -> None:
    one = frame(0).nbytes
    film = Film(steps, max_bytes=fit * one)
    for step in range(steps + 1):
        film.put(frame(step))
        # The latest comes on top of what is kept.
        assert sum(f.nbytes for f in film.frames) <= (fit + 1) * one
    kept = [f.step for f in film.frames]
    assert kept == sorted(set(kept))
    assert (kept[0], kept[-1]) == (0, steps)
    assert len(kept) >= min(steps + 1, fit // 2 + 1)


def test_the_last_frame_at_or_before_a_step() -> None:
    film = Film(100, max_frames=11)
    assert film.at(3) is None
    assert list(film.frames) == []
    for step in (10, 20, 25):
        film.put(frame(step))
    found = {step: film.at(step) for step in (0, 10, 19, 20, 24, 25, 100)}
    steps = {at: shown.step for at, shown in found.items() if shown}
    assert steps == {0: 10, 10: 10, 19: 10, 20: 20, 24: 20, 25: 25, 100: 25}
    # 25 was not due: the next frame takes its place.
    film.put(frame(30))
    assert [f.step for f in film.frames] == [10, 20, 30]


def test_going_back_drops_what_came_later() -> None:
    film = Film(10)
    for step in range(5):
        film.put(frame(step))
    again = frame(2, scale=9.0)
    film.put(again)
    assert [f.step for f in film.frames] == [0, 1, 2]
    assert film.at(10) is again


def test_the_limit_is_the_largest_of_the_methods_asked_for() -> None:
    film = Film(10)
    assert film.limit(["global"], "layer") == 0
    for step, scale in enumerate((1.0, 5.0, 3.0)):
        film.put(frame(step, scale))
    assert film.limit(["global"], "layer") == 5
    assert film.limit(["global", "full"], "layer") == 10
    assert film.limit([], "layer") == 0
