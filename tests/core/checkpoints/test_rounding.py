"""Rounding between two dtypes, told from an update."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from lolora_core.checkpoints.rounding import measure_rounding, rounding_only

DTYPES = (torch.bfloat16, torch.float16, torch.float32, torch.float64)
PAIRS = list(itertools.permutations(DTYPES, 2))


def weight(std: float = 0.02, shape: tuple[int, int] = (64, 96), seed: int = 0) -> Tensor:
    made = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=made, dtype=torch.float64) * std


@pytest.mark.parametrize("std", [1e-3, 0.02, 1.0])
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_two_roundings_of_one_original_differ_by_rounding_alone(
    one: torch.dtype, other: torch.dtype, std: float
) -> None:
    original = weight(std)
    assert rounding_only(original.to(one), original.to(other))


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_one_rounded_to_the_others_dtype_differs_by_rounding_alone(
    one: torch.dtype, other: torch.dtype
) -> None:
    before = weight().to(one)
    after = before.to(other)
    changed = bool((after.double() != before.double()).any())
    assert rounding_only(before, after) is changed


@pytest.mark.parametrize("size", [1e-6, 1e-5, 1e-4, 1e-3, 1e-2])
@pytest.mark.parametrize("one", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("rank", [None, 1, 4])
def test_a_tiny_update_of_weights_stored_coarsely_is_no_rounding(
    one: torch.dtype, size: float, rank: int | None
) -> None:
    before = weight().to(one)
    if rank is None:
        update = weight(1.0, seed=1)
    else:
        update = weight(1.0, (64, rank), seed=1) @ weight(1.0, (rank, 96), seed=2)
    update *= size * torch.linalg.vector_norm(before) / torch.linalg.vector_norm(update)
    assert not rounding_only(before, (before.double() + update).float())


@pytest.mark.parametrize(
    ("one", "other", "size"),
    [
        (torch.float32, torch.bfloat16, 1e-3),
        (torch.float32, torch.float16, 1e-3),
        (torch.float16, torch.bfloat16, 1e-3),
        (torch.bfloat16, torch.float16, 1e-3),
        (torch.bfloat16, torch.float16, 1e-4),
        (torch.float16, torch.bfloat16, 1e-4),
        (torch.float64, torch.float32, 1e-6),
    ],
)
def test_a_tiny_update_before_rounding_is_no_rounding(
    one: torch.dtype, other: torch.dtype, size: float
) -> None:
    before = weight().to(one)
    update = weight(0.02 * size, seed=1)
    assert not rounding_only(before, (before.double() + update).to(other))


@pytest.mark.parametrize("scale", [1.0005, 1.001, 1.0015, 0.9985])
def test_a_change_of_scale_is_no_rounding(scale: float) -> None:
    before = weight().bfloat16()
    after = before.float() * scale
    if scale == 1.0015:  # nothing but its pull shows it: it stays within half a spacing
        ratio = (after - before.float()).abs() / (before.float().abs() * 2**-7)
        assert ratio.max() < 0.5
    assert not rounding_only(before, after)


def test_one_entry_that_moved_is_no_rounding() -> None:
    before = weight()
    after = before.bfloat16()
    after[3, 4] *= 1.02
    assert not rounding_only(before.float(), after)
    assert not rounding_only(after, before.float())


def test_equal_values_and_equal_dtypes_are_no_rounding() -> None:
    half = weight().bfloat16()
    assert not rounding_only(half, half.float())
    assert not rounding_only(weight().float(), weight(seed=1).float())
    assert not rounding_only(torch.zeros(3, 3), torch.zeros(3, 3).half())
    assert not rounding_only(torch.ones(3, 3, dtype=torch.int8), torch.ones(3, 3) + 0.1)


def test_pruned_entries_do_not_hide_rounding() -> None:
    original = weight()
    original[weight(1.0, seed=3) > 0] = 0
    assert rounding_only(original.bfloat16(), original.float())


def test_chunks_give_the_answer_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lolora_core.checkpoints.rounding._CHUNK", 1000)
    original = weight()
    assert rounding_only(original.bfloat16(), original.half())
    moved = original.clone()
    moved[-1, -1] += 1
    assert not rounding_only(original.bfloat16(), moved.half())


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_the_expected_norm_is_that_of_the_rounding(one: torch.dtype, other: torch.dtype) -> None:
    original = weight(shape=(200, 300))
    before, after = original.to(one), original.to(other)
    difference = float(torch.linalg.vector_norm(after.double() - before.double()))
    assert measure_rounding(before, after).norm == pytest.approx(difference, rel=0.05)
    assert measure_rounding(before, before).norm == 0
    assert math.isfinite(difference)


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one shape; they have \(2, 3\) and \(3, 2\)"):
        rounding_only(torch.zeros(2, 3), torch.zeros(3, 2).half())
