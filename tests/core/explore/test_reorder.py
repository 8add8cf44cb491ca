"""Reordering: hidden structure is found, nothing gets worse, and the way back is exact."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lolora_core import approximate, budget_for_rank, reorder
from lolora_core.targets import load
from tests.common_checks import random_target


@pytest.mark.parametrize(("size", "grid", "rank"), [(128, 4, 2), (256, 8, 2)])
def test_permuted_blocks_are_found(size: int, grid: int, rank: int) -> None:
    w = load("permuted-blocks", size=size, grid=grid, rank=rank).array
    # Enough for every planted block, so that the planted order has error 0.
    budget = budget_for_rank((size, size), grid * rank)
    found = reorder(w, budget=budget, grid=grid)
    assert found.gained
    assert found.error_before > 0.5
    assert found.error_after < 1e-6
    after = approximate(found.apply(w), "adaptive", budget=budget, grid=grid)
    assert after.relative_error == pytest.approx(found.error_after, abs=1e-6)
    assert str(found).startswith("Reordered, adaptive on ")


def test_permuted_block_diagonal_is_found_by_energy() -> None:
    w = load("block-diagonal", size=64, blocks=4, rank=2).array
    rng = np.random.default_rng(5)
    shuffled = w[np.ix_(rng.permutation(64), rng.permutation(64))]
    found = reorder(shuffled, budget=budget_for_rank((64, 64), 2), grid=4, family="diagonal")
    assert found.error_before > 0.7
    assert found.error_after < 1e-6


@pytest.mark.parametrize("family", ["adaptive", "localized"])
@pytest.mark.parametrize("shape", [(48, 48), (30, 70), (33, 17)], ids=str)
def test_never_worse_and_exact_to_undo(shape: tuple[int, int], family: str) -> None:
    w = random_target(shape, torch.float32)
    budget = budget_for_rank(shape, 4)
    found = reorder(w, budget=budget, grid=(3, 4), family=family)
    assert sorted(found.row_order) == list(range(shape[0]))
    assert sorted(found.col_order) == list(range(shape[1]))
    before, after = (
        approximate(x, family, budget=budget, grid=(3, 4)).relative_error
        for x in (w, found.apply(w))
    )
    assert after <= before + 1e-6
    assert found.error_before == pytest.approx(before, abs=1e-6)
    assert found.error_after == pytest.approx(after, abs=1e-6)
    assert torch.equal(found.undo(found.apply(w)), w)
    assert np.array_equal(found.undo(found.apply(w.numpy())), w.numpy())


@pytest.mark.parametrize(
    "w",
    [
        np.ones((16, 16)),
        np.zeros((8, 12)),
        np.eye(4),
        np.ones((1, 7)),
        random_target((3, 2), torch.float64).numpy(),
        load("planted-blocks", size=64, grid=4, rank=2).array,
    ],
    ids=["ones", "zeros", "tiny", "one row", "3×2", "planted"],
)
def test_identity_where_nothing_is_gained(w: np.ndarray) -> None:
    grid = min(4, *w.shape)
    found = reorder(w, budget=8 * sum(w.shape), grid=grid)
    assert not found.gained
    assert found.error_after == found.error_before
    assert np.array_equal(found.row_order, np.arange(w.shape[0]))
    assert np.array_equal(found.col_order, np.arange(w.shape[1]))
    assert str(found).startswith("No order was found in which adaptive")


def test_noise_gains_little_or_nothing() -> None:
    w = load("gaussian-noise", size=96).array
    found = reorder(w, budget=budget_for_rank((96, 96), 8), grid=4)
    assert found.error_after <= found.error_before
    assert found.error_before - found.error_after < 0.02


def test_rows_and_columns_of_zeros() -> None:
    w = load("permuted-blocks", size=64, grid=4, rank=1).array.copy()
    w[[3, 17, 40]] = 0
    w[:, [0, 63]] = 0
    found = reorder(w, budget=budget_for_rank((64, 64), 4), grid=4)
    assert found.error_after < found.error_before
    assert np.array_equal(found.undo(found.apply(w)), w)


def test_the_seed_decides() -> None:
    w = load("permuted-blocks", size=64, grid=4, rank=2).array
    first, second = (reorder(w, budget=1024, grid=4, seed=3) for _ in range(2))
    assert np.array_equal(first.row_order, second.row_order)
    assert np.array_equal(first.col_order, second.col_order)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_keeps_its_dtype(dtype: torch.dtype) -> None:
    w = torch.tensor(load("permuted-blocks", size=64, grid=4, rank=1).array).to(dtype)
    found = reorder(w, budget=budget_for_rank((64, 64), 4), grid=4)
    assert found.gained
    assert found.apply(w).dtype == dtype
    assert torch.equal(found.undo(found.apply(w)), w)
    assert found.apply(torch.empty(64, 64, device="meta")).device.type == "meta"


@pytest.mark.cuda
def test_on_cuda() -> None:
    w = torch.tensor(load("permuted-blocks", size=64, grid=4, rank=1).array).cuda()
    found = reorder(w, budget=budget_for_rank((64, 64), 4), grid=4)
    assert found.error_after < 1e-6
    assert found.apply(w).device.type == "cuda"
    assert torch.equal(found.undo(found.apply(w)), w)


def test_bad_input() -> None:
    w = np.eye(8)
    with pytest.raises(ValueError, match="no order of rows and columns changes its error"):
        reorder(w, budget=16, grid=2, family="global")
    with pytest.raises(ValueError, match="grid 9×9 does not fit"):
        reorder(w, budget=16, grid=9)
    with pytest.raises(ValueError, match="it is -1"):
        reorder(w, budget=-1, grid=2)
    with pytest.raises(ValueError, match="diagonal"):
        reorder(w, budget=16, grid=(2, 4), family="diagonal")
    with pytest.raises(ValueError, match=r"matrix must have the shape \(8, 8\)"):
        reorder(w, budget=16, grid=2).apply(np.eye(7))
