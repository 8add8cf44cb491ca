"""The sweep against block SVDs: values, accounting, winners, front, progress, bad input."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lolora_core import (
    FAMILIES,
    Grid,
    approximate,
    budget_for_rank,
    decompose,
    divisor_grids,
    sweep,
)
from lolora_core.blocks.gram import gram_spectra, normalized
from lolora_core.blocks.grid import all_budgets
from lolora_core.blocks.spectra import Spectra
from lolora_core.explore.curves import answers, smallest_budget
from lolora_core.explore.sweep import SweepRow
from lolora_core.families import ranked_families
from lolora_core.families.curves import RuleCurve
from lolora_core.targets import load
from tests.common_checks import CASES, random_target


def falling(shape: tuple[int, int], values: np.ndarray, seed: int = 0) -> np.ndarray:
    """A matrix with the given singular values between random orthogonal factors."""
    rng = np.random.default_rng(seed)
    left = np.linalg.qr(rng.standard_normal((shape[0], len(values))))[0]
    right = np.linalg.qr(rng.standard_normal((shape[1], len(values))))[0]
    return (left * values) @ right.T


def hard_targets() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    k = np.arange(1, 129.0)
    noise = rng.standard_normal((128, 160))
    return {
        "noise": noise,
        "1/k": falling((128, 160), 1 / k),
        "1/k²": falling((160, 128), 1 / k**2),
        "exponential": falling((128, 128), np.exp(-k / 3)),
        "rank 5": falling((128, 144), np.linspace(5, 1, 5)),
        "camera": load("camera").array[::2, ::2],
        "badly scaled": noise * np.logspace(0, -12, 160) * 1e-20,
        "rows of very different size": noise * np.logspace(8, -8, 128)[:, None],
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", hard_targets())
def test_errors_are_those_of_a_float64_svd(name: str, dtype: torch.dtype) -> None:
    w = torch.as_tensor(hard_targets()[name].copy()).to(dtype)
    found = sweep(w, grids=(1, 2, 8, 16))
    assert {family for family, _ in found.errors} == {f for f in FAMILIES if f != "hybrid"}
    for (family, grid), errors in found.errors.items():
        exact = decompose(w.double(), grid).errors(family, found.budgets)
        # The contract is 1e-5; the method promises 1e-6.
        np.testing.assert_allclose(errors, exact, rtol=0, atol=1e-6, err_msg=f"{family} {grid}")


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e200])
def test_scale_of_the_target_does_not_matter(scale: float) -> None:
    w = random_target((24, 30), torch.float64)
    for key, errors in sweep(w * scale, grids=(1, 3)).errors.items():
        np.testing.assert_allclose(errors, sweep(w, grids=(1, 3)).errors[key], atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize(("shape", "grid"), CASES, ids=str)
def test_every_shape_and_grid(
    shape: tuple[int, int], grid: tuple[int, int], dtype: torch.dtype
) -> None:
    w = random_target(shape, dtype)
    budgets = np.arange(0, sum(shape) * (min(shape) + 2), 3)
    found = sweep(w, [grid], budgets=budgets)
    svd = decompose(w.double(), grid)
    for family, _ in found.errors:
        exact = svd.errors(family, budgets)
        np.testing.assert_allclose(found.errors[family, grid], exact, atol=1e-6, rtol=0)
    assert ("diagonal" in {f for f, _ in found.errors}) == (grid[0] == grid[1])


@st.composite
def edged(draw: st.DrawFn) -> Spectra:
    """Singular values on a grid with any edges, so that costs differ freely."""
    sides = []
    for _ in range(2):
        parts = draw(st.lists(st.integers(1, 7), min_size=1, max_size=5))
        sides.append((0, *np.cumsum(parts).tolist()))
    grid = Grid(sides[0], sides[1])
    w = random_target(grid.shape, torch.float64, seed=draw(st.integers(0, 2**16)))
    if draw(st.booleans()):
        # Whole numbers make many ties and zeros.
        w = w.round()
    return gram_spectra(w, grid)


@given(edged())
def test_curves_are_the_rules_at_every_budget(spectra: Spectra) -> None:
    grid = spectra.grid
    budgets = np.arange(int((grid.max_ranks * grid.costs).sum()) + 5)
    for family in ranked_families().values():
        if not family.fits(grid) or family.spans_whole:
            continue
        (errors, used), (exact, spent) = (
            answers(c, budgets) for c in (family.curve(spectra), RuleCurve(spectra, family.ranks))
        )
        # Differences of sums: 1e-16 of the energy is 1e-8 of the norm.
        np.testing.assert_allclose(errors, exact, rtol=0, atol=1e-7)
        np.testing.assert_array_equal(used, spent)


@given(edged(), st.floats(0, 1))
def test_smallest_budget_is_the_smallest(spectra: Spectra, error: float) -> None:
    for name in ("localized", "adaptive"):
        found = ranked_families()[name].curve(spectra)
        budget = smallest_budget(found, error)
        assert budget is not None
        assert answers(found, np.array([budget]))[0][0] <= error
        if budget:
            assert answers(found, np.array([budget - 1]))[0][0] > error


def test_num_parameters_are_those_of_the_approximation() -> None:
    w = random_target((23, 31), torch.float64)
    budgets = [0, 50, 54, 200, 431, 10_000]
    frame = sweep(w, grids=[1, 4, (3, 5)], budgets=budgets).frame()
    assert list(frame.columns) == [
        "family",
        "grid_rows",
        "grid_cols",
        "budget",
        "equivalent_rank",
        "num_parameters",
        "unused_parameters",
        "relative_error",
    ]
    for row in (SweepRow(*record) for record in frame.values.tolist()):
        grid = (row.grid_rows, row.grid_cols)
        a = approximate(w, row.family, budget=row.budget, grid=grid)
        assert (row.num_parameters, row.unused_parameters) == (
            a.num_parameters,
            a.unused_parameters,
        )
        assert row.relative_error == pytest.approx(a.relative_error, abs=1e-7)
        assert row.equivalent_rank == row.budget / 54


def test_all_budgets_and_divisors() -> None:
    assert all_budgets((1024, 1024)).tolist() == [2048 * r for r in range(513)]
    assert all_budgets((1, 7)).tolist() == [0, 8]
    assert divisor_grids((12, 18), 6) == ((1, 1), (2, 2), (3, 3), (6, 6))
    pairs = divisor_grids((4, 9), 3, rectangular=True)
    assert pairs == ((1, 1), (1, 3), (2, 1), (2, 3))
    with pytest.raises(ValueError, match="limit must be 1 or more; it is 0"):
        divisor_grids((4, 4), 0)


def test_best_is_the_lowest_row() -> None:
    w = load("camera").array[::4, ::4]
    found = sweep(w)
    for rank in (0, 3, 16):
        budget = budget_for_rank(w.shape, rank)
        at = found.frame().query("budget == @budget")
        best = found.best(budget)
        assert best.relative_error <= at["relative_error"].min() + 1e-5
    # A budget that was not swept is answered too.
    a = approximate(w, best.family, budget=777, grid=(best.grid_rows, best.grid_cols))
    row = found.row(best.family, (best.grid_rows, best.grid_cols), 777)
    assert row.num_parameters == a.num_parameters
    assert row.relative_error == pytest.approx(a.relative_error, abs=1e-7)


def test_winners_and_crossovers_agree_with_the_frame() -> None:
    w = load("camera").array[::4, ::4]
    found = sweep(w, grids=[1, 4, (2, 8)])
    winners, frame = found.winners(), found.frame()
    assert len(winners) == 3 * len(found.budgets)
    order = list(found.families)
    for row in winners.to_dict("records"):
        here = frame[
            (frame.grid_rows == row["grid_rows"])
            & (frame.grid_cols == row["grid_cols"])
            & (frame.budget == row["budget"])
        ]
        same = dict(zip(here["family"], here["relative_error"], strict=True))
        tied = [f for f in order if f in same and same[f] <= min(same.values()) + 1e-5]
        assert row["winner"] == tied[0]
        mine = same.pop(row["winner"])
        assert row["relative_error"] == mine
        assert row["margin"] == pytest.approx(max(min(same.values()) - mine, 0))
        assert same[row["runner_up"]] <= min(same.values()) + 1e-5
    changes = found.crossovers()
    assert len(changes)
    for change in changes.to_dict("records"):
        same_grid = (winners.grid_rows == change["grid_rows"]) & (
            winners.grid_cols == change["grid_cols"]
        )
        names = winners[same_grid].set_index("budget")["winner"]
        before = names[names.index < change["budget"]].iloc[-1]
        after = names[names.index == change["budget"]].iloc[0]
        assert (before, after) == (change["before"], change["after"])
        assert before != after


def test_one_family_has_no_runner_up() -> None:
    winners = sweep(np.eye(4), grids=[2], families=["adaptive"]).winners()
    assert winners["runner_up"].isna().all()
    assert winners["margin"].isna().all()


def test_pareto_is_the_front_by_its_definition() -> None:
    rows = sweep(load("brick").array[::8, ::8], grids=(1, 2, 4, 8)).frame()
    front = sweep(load("brick").array[::8, ::8], grids=(1, 2, 4, 8)).pareto()

    def beaten(row: pd.Series) -> bool:
        better = rows[
            (rows.num_parameters <= row.num_parameters)
            & (rows.relative_error < row.relative_error - 1e-12)
        ]
        return len(better) > 0

    assert not front.apply(beaten, axis=1).any()
    wanted = rows[~rows.apply(beaten, axis=1)]
    assert sorted(set(wanted.num_parameters)) == front.num_parameters.tolist()
    assert front.relative_error.is_monotonic_decreasing


def test_progress_can_stop_between_grids() -> None:
    seen: list[tuple[int, int]] = []

    def stop_after_two(done: int, total: int) -> bool:
        seen.append((done, total))
        return done < 2

    w = random_target((32, 32), torch.float32)
    found = sweep(w, grids=(1, 2, 4, 8), progress=stop_after_two)
    assert seen == [(1, 4), (2, 4)]
    assert not found.complete
    assert [grid.blocks for grid in found.grids] == [(1, 1), (2, 2)]
    assert set(found.frame()["grid_rows"]) == {1, 2}
    whole = sweep(w, grids=(1, 2), progress=lambda done, total: None)
    assert whole.complete
    pd.testing.assert_frame_equal(found.frame(), whole.frame())


def test_no_svd_and_each_grid_once(
    svd_calls: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    original = torch.linalg.eigvalsh

    def counted(gram: torch.Tensor) -> torch.Tensor:
        calls.append(gram.shape[0])
        return original(gram)

    monkeypatch.setattr(torch.linalg, "eigvalsh", counted)
    sweep(random_target((32, 32), torch.float32), grids=(1, 2, 4, 2))
    assert not svd_calls
    assert sum(calls) == 1 + 4 + 16


def test_zero_target() -> None:
    found = sweep(np.zeros((8, 6)), grids=(1, 2))
    assert all((errors == 0).all() for errors in found.errors.values())


def test_bad_input() -> None:
    w = np.eye(6)
    edges = Grid((0, 1, 6), (0, 3, 6))
    with pytest.raises(ValueError, match="grid 7×7 does not fit a 6×6 matrix"):
        sweep(w, grids=(1, 7))
    with pytest.raises(ValueError, match="2×2 blocks with different edges"):
        sweep(w, grids=(2, edges))
    with pytest.raises(ValueError, match="grids must hold at least one grid"):
        sweep(w, grids=())
    with pytest.raises(ValueError, match="families must name at least one"):
        sweep(w, grids=(1,), families=())
    with pytest.raises(ValueError, match="family must be one of global"):
        sweep(w, grids=(1,), families=("locla",))
    with pytest.raises(ValueError, match="none of the families diagonal is defined"):
        sweep(w, grids=((2, 3),), families=("diagonal",))
    with pytest.raises(ValueError, match="it is -1"):
        sweep(w, grids=(1,), budgets=(4, -1))
    with pytest.raises(ValueError, match="budgets must hold at least one"):
        sweep(w, grids=(1,), budgets=())
    with pytest.raises(ValueError, match="budget must be at most"):
        sweep(w, grids=(1,), budgets=(2**63,))
    with pytest.raises(ValueError, match="meta device and has no values"):
        sweep(torch.empty(4, 4, device="meta"), grids=(1,))
    with pytest.raises(ValueError, match="holds no family 'adaptive' on grid \\(3, 3\\)"):
        sweep(w, grids=(1, 2)).row("adaptive", (3, 3), 4)


@pytest.mark.parametrize("name", [f.name for f in FAMILIES.values() if not f.from_spectra])
def test_hybrid_is_refused_with_a_reason(name: str) -> None:
    assert name not in sweep(np.eye(4), grids=(2,)).families
    with pytest.raises(ValueError, match="fitted to the matrix"):
        sweep(np.eye(4), grids=(2,), families=(name,))


def test_edges_of_any_grid() -> None:
    grid = Grid((0, 3, 10), (0, 5, 9))
    w = random_target((10, 9), torch.float64)
    found = sweep(w, grids=[grid], budgets=range(0, 200, 7))
    for family in ("global", "localized", "adaptive"):
        exact = decompose(w, grid).errors(family, found.budgets)
        np.testing.assert_allclose(found.errors[family, (2, 2)], exact, atol=1e-7)


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Set the number of torch's threads, for one test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_gram_spectra_have_the_singular_values(threads: Callable[[int], None]) -> None:
    w, scale = normalized(random_target((40, 24), torch.float32) * 50)
    for count, k in itertools.product((1, 3), (1, 3, 8)):
        threads(count)
        grid = Grid.regular((40, 24), k)
        spectra = gram_spectra(w, grid)
        for i, j in np.ndindex(*grid.blocks):
            exact = torch.linalg.svdvals(w[grid.block(i, j)]).numpy()
            np.testing.assert_allclose(spectra.values[i, j, : len(exact)], exact, atol=1e-7)
        assert torch.get_num_threads() == count
    assert scale == 256.0


@pytest.mark.cuda
def test_on_cuda_as_on_cpu() -> None:
    w = random_target((96, 64), torch.float32)
    here, there = sweep(w, grids=(1, 4, 7)), sweep(w.cuda(), grids=(1, 4, 7))
    for key, errors in here.errors.items():
        np.testing.assert_allclose(there.errors[key], errors, atol=1e-7)
