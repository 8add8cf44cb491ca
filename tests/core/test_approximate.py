from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from lolora_core import FAMILIES, Grid, approximate, budget_for_rank, decompose
from lolora_core.blocks.gather import block_norms
from lolora_core.blocks.svd import block_svd, randomized_svd
from tests.common_checks import random_target

READ = [name for name, family in FAMILIES.items() if family.from_spectra]


@pytest.mark.parametrize(("shape", "k"), [((64, 64), 8), ((67, 53), 8), ((67, 64), 8)])
def test_at_most_four_svd_calls_on_a_regular_grid(
    svd_calls: list[tuple[int, ...]], shape: tuple[int, int], k: int
) -> None:
    block_svd(random_target(shape, torch.float32), Grid.regular(shape, k))
    assert 1 <= len(svd_calls) <= 4
    assert sum(call[0] for call in svd_calls) == k * k


def test_budgets_never_decompose_again(svd_calls: list[tuple[int, ...]]) -> None:
    svd = decompose(random_target((40, 40), torch.float32), 4)
    for family in READ:
        svd.approximate(family, budget=100)
    first = list(svd_calls)
    assert len(first) == 2  # the whole matrix, and one batch of blocks
    for family, budget in itertools.product(READ, range(0, 2000, 130)):
        svd.approximate(family, budget=budget).dense()
    svd.regrid(4).approximate("global", budget=200)
    assert svd_calls == first
    svd.regrid(5).approximate("adaptive", budget=200)
    assert len(svd_calls) == 3  # only what is new


def test_diagonal_alone_decomposes_only_its_blocks(svd_calls: list[tuple[int, ...]]) -> None:
    a = approximate(random_target((40, 40), torch.float64), "diagonal", budget=160, grid=4)
    assert svd_calls == [(4, 10, 10)]
    assert a.relative_error == pytest.approx(float(np.sqrt((a.block_errors(4) ** 2).sum())))


def slow_and_fast_spectra() -> dict[str, torch.Tensor]:
    noise = random_target((300, 260), torch.float64)
    u, _, vh = torch.linalg.svd(noise, full_matrices=False)
    k = torch.arange(1, 261, dtype=torch.float64)
    return {
        "noise": noise,
        "k^-1/2": (u * k**-0.5) @ vh,
        "k^-2": (u * k**-2) @ vh,
        "2^-k": (u * 2**-k) @ vh,
    }


@pytest.mark.parametrize("name", slow_and_fast_spectra())
@pytest.mark.parametrize("grid", [1, 2, (3, 2)])
@pytest.mark.parametrize("family", FAMILIES)
def test_randomized_is_within_one_percent_and_reports_the_true_residual(
    name: str, grid: int | tuple[int, int], family: str
) -> None:
    w = slow_and_fast_spectra()[name]
    if not FAMILIES[family].fits(Grid.resolve(grid, (300, 260))):
        with pytest.raises(ValueError, match="diagonal"):
            approximate(w, family, budget=9, grid=grid)
        return
    budget = budget_for_rank((300, 260), 12)
    exact = approximate(w, family, budget=budget, grid=grid, method="exact")
    sketched = approximate(w, family, budget=budget, grid=grid, method="randomized")
    true = float((w - sketched.dense()).norm() / w.norm())
    assert sketched.relative_error == pytest.approx(true, rel=1e-9, abs=1e-13)
    assert exact.relative_error <= sketched.relative_error + 1e-12
    assert sketched.relative_error <= 1.01 * exact.relative_error + 1e-12


def test_the_method_is_chosen_forced_or_forbidden(svd_calls: list[tuple[int, ...]]) -> None:
    w = random_target((200, 200), torch.float32)
    for method, largest in (("auto", 200), ("exact", 200), ("randomized", 14)):
        svd_calls.clear()
        approximate(w, "global", budget=budget_for_rank((200, 200), 4), method=method)  # type: ignore[arg-type]
        assert [min(call[-2:]) for call in svd_calls] == [largest]


def test_large_blocks_with_small_ranks_are_sketched_automatically(
    svd_calls: list[tuple[int, ...]],
) -> None:
    w = torch.ones(1700, 1700)
    a = approximate(w, "global", budget=budget_for_rank((1700, 1700), 2))
    assert svd_calls == [(1, 12, 1700)]
    assert a.relative_error < 1e-5


def test_sketch_depends_on_its_seed_alone() -> None:
    x = random_target((60, 50), torch.float32)[None]
    first = randomized_svd(x, 5, seed=3)
    torch.manual_seed(99)
    again, other = randomized_svd(x, 5, seed=3), randomized_svd(x, 5, seed=4)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[1], other[1])


def test_method_is_checked() -> None:
    w = torch.eye(4)
    with pytest.raises(ValueError, match="method must be auto, exact or randomized; it is 'fast'"):
        block_svd(w, Grid.regular((4, 4), 1), method="fast")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs max_rank"):
        decompose(w, 1, method="randomized").approximate("global", budget=8)


@pytest.mark.parametrize("family", ["global", "diagonal", "localized"])
@pytest.mark.parametrize("method", ["exact", "randomized"])
def test_runs_on_meta_where_no_value_is_read(family: str, method: str) -> None:
    w = torch.empty(96, 64, device="meta", dtype=torch.bfloat16)
    a = approximate(w, family, budget=budget_for_rank((96, 64), 4), grid=4, method=method)  # type: ignore[arg-type]
    assert a.dense().device.type == "meta"
    assert a.dense().shape == (96, 64)
    assert a.dense().dtype == torch.bfloat16
    assert sum(b.numel() + r.numel() for b, r in a.factors().values()) == a.num_parameters


def test_block_norms_are_those_of_numpy() -> None:
    w = random_target((23, 17), torch.float32)
    grid = Grid.regular((23, 17), 4, 3)
    for i, j in itertools.product(range(4), range(3)):
        block = w.numpy().astype(float)[grid.block(i, j)]
        assert block_norms(w, grid)[i, j] == pytest.approx(np.linalg.norm(block))
