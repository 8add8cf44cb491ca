"""The common checks over every family, and the identities of the design as properties."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lolora_core import FAMILIES, Decomposition, Grid, approximate, budget_for_rank, decompose
from lolora_core.common.metrics import numerical_rank
from lolora_core.families import REFERENCE, adaptive_ranks, localized_ranks, resolve_family
from tests.common_checks import (
    CASES,
    CHECKS,
    RANKS,
    applicable,
    case_id,
    families_on,
    make,
    random_target,
)

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


ON_CASES = pytest.mark.parametrize(
    ("family", "shape", "grid"),
    [pytest.param(*case, id=case_id(*case)) for case in applicable()],
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: str(dtype).removeprefix("torch."))
@ON_CASES
def test_common(
    check: Callable[[Decomposition, str, int], None],
    dtype: torch.dtype,
    family: str,
    shape: tuple[int, int],
    grid: tuple[int, int],
) -> None:
    svd = make(shape, grid, dtype)
    for rank in RANKS:
        check(svd, family, rank)


@pytest.mark.cuda
@ON_CASES
def test_on_cuda_as_on_cpu(family: str, shape: tuple[int, int], grid: tuple[int, int]) -> None:
    here, there = (make(shape, grid, torch.float64, device) for device in ("cpu", "cuda"))
    for rank in RANKS:
        budget = budget_for_rank(shape, rank)
        mine, other = (svd.approximate(family, budget=budget) for svd in (here, there))
        assert other.dense().device.type == "cuda"
        assert abs(mine.relative_error - other.relative_error) < 1e-9


def test_every_family_is_defined_where_it_says() -> None:
    on = {shape: {f for f, s, _ in applicable() if s == shape} for shape, _ in CASES}
    assert all(REFERENCE.name in families for families in on.values())
    assert set(FAMILIES) == {family for family, _, _ in applicable()}


@st.composite
def problems(draw: st.DrawFn) -> tuple[Decomposition, int]:
    m, n = draw(st.integers(1, 30)), draw(st.integers(1, 30))
    rows, cols = draw(st.integers(1, min(m, 6))), draw(st.integers(1, min(n, 6)))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    w = random_target((m, n), dtype, seed=draw(st.integers(0, 2**16)))
    # A falling spectrum and an uneven energy make the choices of `adaptive` matter.
    w = w * torch.linspace(1, draw(st.floats(0.01, 1.0)), m, dtype=dtype)[:, None]
    return decompose(w, (rows, cols)), draw(st.integers(0, (m + n) * (min(m, n) + 2)))


@given(problems())
def test_adaptive_is_never_worse_than_localized(problem: tuple[Decomposition, int]) -> None:
    svd, budget = problem
    adaptive, localized = (svd.errors(name, [budget])[0] for name in ("adaptive", "localized"))
    assert adaptive <= localized + 1e-12


@given(problems(), st.integers(1, 200))
def test_error_never_rises(problem: tuple[Decomposition, int], more: int) -> None:
    svd, budget = problem
    for family in families_on(svd.grid):
        less, greater = svd.errors(family, [budget, budget + more])
        assert greater <= less + 1e-12


@given(problems())
def test_parameters_and_errors_agree(problem: tuple[Decomposition, int]) -> None:
    svd, budget = problem
    w = svd.target.double()
    for family in families_on(svd.grid):
        a = svd.approximate(family, budget=budget)
        assert a.num_parameters <= budget
        assert abs(float((w - a.dense().double()).norm() / w.norm()) - a.relative_error) <= 1e-5


@given(problems())
def test_approximate_is_decompose_then_approximate(problem: tuple[Decomposition, int]) -> None:
    svd, budget = problem
    for family in families_on(svd.grid):
        direct = approximate(svd.target, family, budget=budget, grid=svd.grid)
        through = svd.approximate(family, budget=budget)
        assert direct.relative_error == pytest.approx(through.relative_error, abs=2e-7)
        np.testing.assert_array_equal(direct.rank_map, through.rank_map)


@given(problems())
def test_ranks_stay_under_their_bounds(problem: tuple[Decomposition, int]) -> None:
    svd, budget = problem
    r = budget // sum(svd.grid.shape)
    assert numerical_rank(svd.approximate("global", budget=budget).dense()) <= r
    a = svd.approximate("localized", budget=budget)
    for i in range(svd.grid.blocks[0]):
        rows = slice(svd.grid.row_edges[i], svd.grid.row_edges[i + 1])
        assert numerical_rank(a.dense()[rows]) <= a.rank_map[i].sum()
    if svd.grid.blocks[0] == svd.grid.blocks[1]:
        k = svd.grid.blocks[0]
        assert numerical_rank(svd.approximate("diagonal", budget=budget).dense()) <= k * r


@pytest.mark.parametrize(("k", "r"), [(1, 5), (2, 2), (2, 6), (4, 4), (4, 12), (8, 16)])
def test_budgets_match_exactly_where_k_divides_r(k: int, r: int) -> None:
    svd = make((32, 48), (k, k), torch.float64)
    budget = budget_for_rank((32, 48), r)
    for family in ("global", "localized"):
        assert svd.approximate(family, budget=budget).unused_parameters == 0
    diagonal = svd.approximate("diagonal", budget=budget)
    assert diagonal.unused_parameters == max(0, r - 32 // k) * (32 + 48)


def test_adaptive_fills_what_is_left() -> None:
    # Costs 7, 5 and 5, 3: after the dear block the cheap one still fits.
    grid = Grid((0, 4, 6), (0, 3, 4))
    w = torch.zeros(6, 4, dtype=torch.float64)
    w[:4, :3] = 10 * torch.outer(torch.ones(4), torch.ones(3))
    w[4, 0], w[5, 3] = 2.0, 1.0
    a = decompose(w, grid).approximate("adaptive", budget=10)
    np.testing.assert_array_equal(a.rank_map, [[1, 0], [0, 1]])
    assert a.num_parameters == 10


@pytest.mark.parametrize("k", [2, 3, 5])
def test_planted_block_rank_is_recovered_to_rounding(k: int) -> None:
    rng = np.random.default_rng(k)
    grid = Grid.regular((30, 25), k)
    planted = rng.integers(0, 4, size=(k, k))
    w = np.zeros((30, 25))
    for i, j in itertools.product(range(k), repeat=2):
        h, v, r = grid.row_sizes[i], grid.col_sizes[j], planted[i, j]
        w[grid.block(i, j)] = rng.normal(size=(h, r)) @ rng.normal(size=(r, v))
    budget = int((planted * grid.costs).sum())
    a = approximate(w, "adaptive", budget=budget, grid=grid)
    np.testing.assert_array_equal(a.rank_map, planted)
    assert a.relative_error < 1e-12


def test_global_recovers_a_low_rank_matrix() -> None:
    rng = np.random.default_rng(0)
    w = rng.normal(size=(40, 3)) @ rng.normal(size=(3, 30))
    assert approximate(w, "global", budget=budget_for_rank((40, 30), 3)).relative_error < 1e-12
    assert approximate(w, "global", budget=budget_for_rank((40, 30), 2)).relative_error > 0.1


def test_diagonal_needs_a_square_grid() -> None:
    with pytest.raises(ValueError, match=r"diagonal needs as many block rows.*2×3 on a 8×9 matrix"):
        approximate(np.ones((8, 9)), "diagonal", budget=40, grid=(2, 3))
    assert not FAMILIES["diagonal"].fits(Grid.regular((8, 9), 2, 3))


@pytest.mark.parametrize("name", ["lora", "", None])
def test_unknown_family_is_named(name: str | None) -> None:
    with pytest.raises(ValueError, match=r"family must be one of global, .*; it is"):
        resolve_family(name)  # type: ignore[arg-type]


def test_adaptive_says_that_it_needs_spectra() -> None:
    with pytest.raises(ValueError, match="spectra"):
        adaptive_ranks(Grid.regular((4, 4), 2), 8, None)


def test_uniform_rank_is_capped_and_the_rest_is_unused() -> None:
    grid = Grid.regular((8, 8), 4)
    assert (localized_ranks(grid, 10**6) == 2).all()
    a = approximate(np.eye(8), "localized", budget=10**6, grid=4)
    assert a.unused_parameters == 10**6 - 16 * 2 * 4
