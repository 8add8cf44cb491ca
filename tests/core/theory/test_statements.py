"""Every statement holds on every kind of shape, and a broken one is reported."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
from torch import Tensor

from lolora_core import approximate
from lolora_core.blocks import svd as svd_module
from lolora_core.blocks.grid import Grid
from lolora_core.families import adaptive, localized, ranked
from lolora_core.theory import STATEMENTS, Check, Sides, Statement, Work
from lolora_core.theory.base import EXACT, ROUNDING, Draw
from lolora_core.theory.best_fit import every_rank_map
from lolora_core.theory.noise import noise_limit

TALL, SQUARE, WIDE = (41, 24), (30, 30), (18, 50)
#: Blocks a side and block rank; 41 and 50 are cut unevenly.
CUTS = ((2, 1), (2, 5), (3, 2), (4, 3))


@pytest.mark.parametrize("cut", CUTS, ids=str)
@pytest.mark.parametrize("shape", [TALL, SQUARE, WIDE], ids=str)
@pytest.mark.parametrize("name", STATEMENTS)
def test_it_holds(name: str, shape: tuple[int, int], cut: tuple[int, int]) -> None:
    check = STATEMENTS[name].check(shape, *cut, cases=8, seed=3)
    assert check.holds, check.worst
    assert check.held == check.total > 1
    for sides in check.sides:
        if check.of_means:
            # Chance and the finite size of a block.
            assert sides.tolerance < 0.1
        else:
            # Whole numbers, or a share of ‖W‖ in float64.
            assert sides.tolerance in (EXACT, ROUNDING)


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_seed_gives_the_same_numbers(name: str) -> None:
    def frame(seed: int) -> object:
        return STATEMENTS[name].check(WIDE, 2, 2, cases=3, seed=seed).frame()

    assert frame(1).equals(frame(1))  # type: ignore[attr-defined]
    # The bounds of ranks are reached in every case; elsewhere numbers differ.
    assert name == "ranks" or not frame(1).equals(frame(2))  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", STATEMENTS)
def test_it_can_be_read_and_looked_up(name: str) -> None:
    statement = STATEMENTS[name]
    assert statement.name == name
    assert statement.sources
    for work in statement.sources:
        assert not work.arxiv or re.fullmatch(r"\d{4}\.\d{5}", work.arxiv)
    assert statement.proof.count("$") % 2 == 0
    for formula in statement.formulas:
        assert formula.count("{") == formula.count("}")
    drawn = {sides.what for sides in statement.check(SQUARE, 2, 1, cases=2, seed=0).sides}
    assert statement.drawn in (*drawn, "")


#: Before anything is broken.
SVD = svd_module.torch.linalg.svd
EQUAL = ranked.equal_ranks


def one_rank_more(grid: Grid, budget: int, wanted: np.ndarray) -> np.ndarray:
    return np.minimum(EQUAL(grid, budget, wanted) + wanted, grid.max_ranks)


def crossed(blocks: Tensor, full_matrices: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return left vectors in the wrong order."""
    u, s, vh = SVD(blocks, full_matrices=full_matrices)
    return u.flip(-1), s, vh


def one_rank_less(grid: Grid, budget: int, wanted: np.ndarray) -> np.ndarray:
    return np.maximum(EQUAL(grid, budget, wanted) - wanted.all(), 0)


#: What is broken, where, and which statements then must not hold.
Break = tuple[object, str, Callable[..., object]]
BROKEN: dict[str, Break] = {
    "eckart-young": (svd_module.torch.linalg, "svd", crossed),
    "counts": (ranked, "equal_ranks", one_rank_less),
    "ranks": (ranked, "equal_ranks", one_rank_more),
    "contains": (ranked, "equal_ranks", one_rank_less),
    "holds-global": (ranked, "equal_ranks", one_rank_less),
    "neither": (ranked, "equal_ranks", one_rank_less),
    "adaptive": (
        adaptive,
        "adaptive_ranks",
        lambda grid, budget, spectra: localized.localized_ranks(grid, budget),
    ),
    "noise-bound": (ranked, "equal_ranks", one_rank_less),
    "noise-limit": (ranked, "equal_ranks", one_rank_less),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_broken_library_is_reported(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*BROKEN[name])
    check = STATEMENTS[name].check(SQUARE, 3, 2, cases=6, seed=0)
    assert not check.holds
    assert check.held < check.total
    assert not check.worst.holds
    assert check.largest_deviation > check.worst.tolerance


class Always(Statement):
    """The false statement that localized never has a higher error than global."""

    name, title, formulas, statement, proof = "always", "", (), "", ""
    sources, checked = (Work("Localized LoRA", "2506.00236"),), ""

    def sides(self, draws: Sequence[Draw]) -> Iterator[Sides]:
        for draw in draws:
            w = draw.rng.standard_normal((draw.grid.shape[0], 1)) + 0.1 * draw.noise()
            errors = [
                approximate(w, name, budget=draw.budget, grid=draw.grid).relative_error
                for name in ("localized", "global")
            ]
            yield Sides(draw.case, "error", errors[0], "≤", errors[1])


def test_a_false_statement_is_reported() -> None:
    check = Always().check(SQUARE, 3, 2, cases=5, seed=0)
    assert (check.held, check.total, check.holds) == (0, 5, False)


def test_cases_and_means_are_counted() -> None:
    good, bad = Sides(1, "a", 1.0, "=", 1.0), Sides(1, "b", 2.0, "≤", 1.0)
    other = Sides(2, "a", 0.5, "≤", 1.0)
    check = Check((good, bad, other))
    assert (check.held, check.total, check.of_means) == (1, 2, False)
    assert (check.worst, check.largest_deviation) == (bad, 1.0)
    means = Check((Sides(0, "a", 1.0, "≈", 1.1, 0.2), Sides(0, "b", 1.0, "≈", 2.0, 0.2)))
    assert (means.held, means.total, means.of_means) == (1, 2, True)


def test_what_is_not_a_number_does_not_hold() -> None:
    check = Check((Sides(1, "a", float("nan"), "≤", 1.0), Sides(2, "a", 1.0, "=", float("nan"))))
    assert (check.held, check.total) == (0, 2)
    assert np.isnan(check.largest_deviation)


@pytest.mark.parametrize(
    ("shape", "blocks", "rank", "cases", "message"),
    [
        ((12, 12), 1, 1, 1, "blocks must be 2 or more; it is 1"),
        ((12, 12), 3, 4, 1, "rank must be from 1 to 3 where the smallest block is 4×4; it is 4"),
        ((12, 12), 3, 0, 1, "rank must be from 1 to 3"),
        ((12, 12), 2, 1, 0, "cases must be 1 or more; it is 0"),
        ((12, 4), 4, 1, 1, "blocks must leave a block two rows and two columns"),
        ((2, 12), 3, 1, 1, "grid 3×3 does not fit a 2×12 matrix"),
    ],
)
def test_what_cannot_be_checked_is_an_error(
    shape: tuple[int, int], blocks: int, rank: int, cases: int, message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        STATEMENTS["counts"].check(shape, blocks, rank, cases, seed=0)


def test_every_rank_map_is_there_once() -> None:
    found = every_rank_map((2, 3, 1, 2), 4)
    every = [r for r in np.ndindex(3, 4, 2, 3) if sum(r) == 4]
    assert sorted(map(tuple, found.tolist())) == every


@pytest.mark.parametrize("kept", [0.1, 0.25, 0.5, 0.9])
def test_the_limit_of_noise_on_squares_has_a_closed_form(kept: float) -> None:
    # By the quarter-circle law: kept = (2b − sin 2b)/π and energy (4b − sin 4b)/2π.
    ends = np.linspace(0, np.pi / 2, 200_001)
    b = np.interp(kept, (2 * ends - np.sin(2 * ends)) / np.pi, ends)
    assert noise_limit(1.0, kept) == pytest.approx(
        1 - (4 * b - np.sin(4 * b)) / (2 * np.pi), abs=1e-6
    )


def test_a_large_block_of_noise_comes_close_to_the_limit() -> None:
    values = np.linalg.svd(np.random.default_rng(0).standard_normal((150, 300)), compute_uv=False)
    left = (values[30:] ** 2).sum() / (values**2).sum()
    # A single draw: its spread is about 1e-3.
    assert left == pytest.approx(noise_limit(0.5, 0.2), abs=5e-3)


def test_structures_of_one_budget_cost_the_same() -> None:
    grid = Grid.regular((24, 36), 3)
    found = STATEMENTS["counts"].structures(grid, 2)
    assert {a.num_parameters for a in found.values()} == {3 * 2 * 60}
    held = STATEMENTS["holds-global"].structures(grid, 2)
    assert held["localized"].num_parameters == 3 * held["global"].num_parameters
