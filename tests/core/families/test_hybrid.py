"""A global term plus an adaptive one: what the search promises, and what it finds."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lolora_core import (
    FAMILIES,
    Approximation,
    Decomposition,
    Grid,
    approximate,
    budget_for_rank,
    decompose,
)
from lolora_core.explore.compare import compare, rank_to_reach
from lolora_core.families.hybrid import HybridFit
from tests.common_checks import make, random_target
from tests.core.families.test_families import problems


def planted(
    shape: tuple[int, int], grid: Grid, rank: int, ranks: np.ndarray, seed: int
) -> np.ndarray:
    rng = np.random.default_rng(seed)
    w = 3 * rng.normal(size=(shape[0], rank)) @ rng.normal(size=(rank, shape[1]))
    for i, j in itertools.product(*map(range, grid.blocks)):
        h, v, r = grid.row_sizes[i], grid.col_sizes[j], ranks[i, j]
        w[grid.block(i, j)] += rng.normal(size=(h, r)) @ rng.normal(size=(r, v))
    return w


@given(problems())
def test_never_worse_than_global_or_adaptive(problem: tuple[Decomposition, int]) -> None:
    svd, budget = problem
    mine = svd.approximate("hybrid", budget=budget)
    for name in ("global", "adaptive"):
        assert mine.relative_error <= svd.approximate(name, budget=budget).relative_error
    w = svd.target.double()
    # The error of what the factors build, not only the reported one.
    true = float((w - mine._dense().double()).norm() / w.norm())
    assert abs(true - mine.relative_error) <= (1e-7 if svd.target.dtype == torch.float64 else 1e-5)


@given(problems(), st.lists(st.integers(0, 400), min_size=1, max_size=4))
def test_answers_do_not_depend_on_what_was_asked_before(
    problem: tuple[Decomposition, int], others: list[int]
) -> None:
    svd, budget = problem
    for other in others:
        svd.approximate("hybrid", budget=other)
    later = svd.approximate("hybrid", budget=budget)
    fresh = decompose(svd.target, svd.grid).approximate("hybrid", budget=budget)
    assert later.relative_error == fresh.relative_error
    assert later.global_rank == fresh.global_rank
    np.testing.assert_array_equal(later.rank_map, fresh.rank_map)


def test_error_never_rises_from_parameter_to_parameter() -> None:
    # Through several rungs, each budget asked of its own decomposition in falling order.
    w = torch.from_numpy(planted((16, 12), Grid.regular((16, 12), 2), 2, np.eye(2, dtype=int), 0))
    svd = decompose(w, 2)
    budgets = range(28 * 9)
    errors = svd.errors("hybrid", budgets[::-1])[::-1]
    assert (np.diff(errors) <= 0).all()
    assert len({svd.approximate("hybrid", budget=b).global_rank for b in budgets}) > 2


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_beats_both_ends_where_both_structures_are_planted(seed: int, dtype: torch.dtype) -> None:
    grid = Grid.regular((48, 40), 4)
    w = planted((48, 40), grid, 2, np.eye(4, dtype=int), seed)
    budget = budget_for_rank((48, 40), 4)
    svd = decompose(torch.from_numpy(w).to(dtype), grid)
    mine = svd.approximate("hybrid", budget=budget)
    others = [svd.approximate(f, budget=budget).relative_error for f in ("global", "adaptive")]
    assert 0 < mine.global_rank < 4
    assert mine.rank_map.any()
    assert mine.relative_error < 0.75 * min(others)


def test_both_ends_are_reached() -> None:
    rng = np.random.default_rng(0)
    low = rng.normal(size=(24, 2)) @ rng.normal(size=(2, 24))
    whole = approximate(low, "hybrid", budget=budget_for_rank((24, 24), 2), grid=4)
    assert (whole.global_rank, int(whole.rank_map.sum())) == (2, 0)
    assert whole.relative_error < 1e-12
    grid = Grid.regular((24, 24), 4)
    blocks = planted((24, 24), grid, 0, np.eye(4, dtype=int), 0)
    apart = approximate(blocks, "hybrid", budget=budget_for_rank((24, 24), 1), grid=4)
    assert apart.global_rank == 0
    np.testing.assert_array_equal(apart.rank_map, np.eye(4))
    assert apart.relative_error < 1e-12


def test_a_refit_never_raises_the_error() -> None:
    svd = make((40, 32), (4, 4), torch.float64)
    search = svd.fit("hybrid")
    assert isinstance(search, HybridFit)
    budget = budget_for_rank((40, 32), 8)
    fit = search._start(4, budget)
    errors = []
    for _ in range(12):
        fit = search._decompose(search._refit(fit, budget, 4), fit, budget)
        left = svd.target - fit.term.dense()
        rest = decompose(left, 4).errors("adaptive", [budget - 4 * 72])[0]
        errors.append(rest * float(left.norm()))
    assert (np.diff(errors) <= 1e-9).all()
    assert errors[-1] < errors[0]


def test_a_budget_asked_again_searches_no_further(svd_calls: list[tuple[int, ...]]) -> None:
    svd = make((40, 40), (4, 4), torch.float32)
    first = svd.approximate("hybrid", budget=budget_for_rank((40, 40), 8))
    made = len(svd_calls)
    again = svd.approximate("hybrid", budget=budget_for_rank((40, 40), 8))
    smaller = svd.errors("hybrid", range(0, budget_for_rank((40, 40), 8), 40))
    assert len(svd_calls) == made
    assert torch.equal(first.dense(), again.dense())
    assert smaller[-1] >= first.relative_error


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_global_and_block_term_are_saved(tmp_path: Path, dtype: torch.dtype) -> None:
    w = torch.from_numpy(planted((48, 40), Grid.regular((48, 40), 4), 2, np.eye(4, dtype=int), 0))
    a = approximate(w.to(dtype), "hybrid", budget=budget_for_rank((48, 40), 4), grid=4)
    pair = a.global_factors()
    assert pair is not None
    assert pair[0].shape[1] == a.global_rank > 0
    assert a.factors()
    a.save(tmp_path / "a.safetensors")
    b = Approximation.load(tmp_path / "a.safetensors")
    loaded = b.global_factors()
    assert loaded is not None
    torch.testing.assert_close(loaded, pair)
    assert (b.global_rank, b.num_parameters, b.family) == (
        a.global_rank,
        a.num_parameters,
        "hybrid",
    )
    torch.testing.assert_close(b.dense(), a.dense())
    assert b.numerical_rank() == a.numerical_rank() == int(np.linalg.matrix_rank(a._dense()))


@pytest.mark.parametrize("grid", [2, (3, 2), 5])
def test_a_sketch_comes_close_and_reports_its_residual(grid: int | tuple[int, int]) -> None:
    w = random_target((90, 70), torch.float64) * torch.linspace(1, 0.01, 70) ** 2
    budget = budget_for_rank((90, 70), 4)
    exact = approximate(w, "hybrid", budget=budget, grid=grid, method="exact")
    sketched = approximate(w, "hybrid", budget=budget, grid=grid, method="randomized")
    true = float((w - sketched.dense()).norm() / w.norm())
    assert sketched.relative_error == pytest.approx(true, rel=1e-9)
    # Either may find the better local minimum.
    assert sketched.relative_error == pytest.approx(exact.relative_error, rel=0.01)


def test_compare_takes_it_when_named() -> None:
    # Its own, not the one that other tests share: they fit hybrid to it.
    svd = decompose(random_target((24, 24), torch.float64), (4, 4))
    assert "hybrid" not in compare([svd], 4).results
    assert "hybrid" not in svd._fits
    named = compare([svd], 4, ["hybrid", "global"])
    assert list(named.results) == ["global", "hybrid"]
    assert named.ranking[0].family.name == "hybrid"
    assert named.results["hybrid"].rank_maps.shape == (1, 4, 4)
    assert [f.name for f in FAMILIES.values() if not f.from_spectra] == ["hybrid"]
    with pytest.raises(ValueError, match=r"family must be one of global, .*; it is 'lora'"):
        compare([svd], 4, ["lora"])
    reached = rank_to_reach([svd], "hybrid", 0.5)
    assert reached is not None
    assert svd.errors("hybrid", [reached * 48])[0] <= 0.5 + 1e-12


@pytest.mark.cuda
def test_on_cuda() -> None:
    w = random_target((64, 64), torch.float32).cuda()
    a = approximate(w, "hybrid", budget=budget_for_rank((64, 64), 8), grid=4)
    assert a.dense().device.type == "cuda"
    assert abs(float((w - a.dense()).norm() / w.norm()) - a.relative_error) < 1e-5
