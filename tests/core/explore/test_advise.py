"""The adviser's choice against a search by hand, its sentence and its errors."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from lolora_core import CONVERSIONS, FAMILIES, Grid, advise, approximate, budget_for_rank, decompose
from lolora_core.explore.advise import DENSE, advise_from
from lolora_core.explore.sweep import SweepRow, pool, sweep
from lolora_core.targets import load
from tests.common_checks import random_target

GRIDS = (1, 2, (2, 4), 4)


def smallest_by_hand(w: np.ndarray, error: float) -> dict[str, int]:
    """The fewest parameters of each family over the grids, by trying every budget."""
    found: dict[str, int] = {}
    for grid in GRIDS:
        svd = decompose(w, grid)
        cut = Grid.resolve(grid, (w.shape[0], w.shape[1]))
        budgets = range(int(cut.max_ranks.max() * cut.costs.sum()) + 1)
        for name in ("global", "diagonal", "localized", "adaptive"):
            if not FAMILIES[name].fits(cut) or (name != "global" and cut.blocks == (1, 1)):
                continue
            errors = svd.errors(name, budgets)
            if errors[-1] <= error:
                used = budgets[int(np.argmax(errors <= error))]
                found[name] = min(used, found.get(name, used))
    return {**found, DENSE: w.size}


@pytest.mark.parametrize("error", [0.05, 0.3, 0.7])
@pytest.mark.parametrize("name", ["camera", "noise", "planted"])
def test_smallest_structure_is_the_smallest(name: str, error: float) -> None:
    w = {
        "camera": load("camera").array[::32, ::32],
        "noise": random_target((16, 20), torch.float64).numpy(),
        "planted": load("planted-blocks", size=32, grid=4, rank=1).array,
    }[name]
    advice = advise(w, error=error, grids=GRIDS)
    hand = smallest_by_hand(w, error)
    assert advice.best.num_parameters == min(hand.values())
    assert hand[advice.best.family] == min(hand.values())
    assert advice.best.relative_error <= error + 1e-6
    rest = {family: used for family, used in hand.items() if family != advice.best.family}
    assert advice.runner_up is not None
    assert advice.runner_up.num_parameters == min(rest.values())
    assert advice.margin == pytest.approx(min(rest.values()) / min(hand.values()))
    if advice.best.family == DENSE:
        return
    a = approximate(
        w,
        advice.best.family,
        budget=advice.best.budget,
        grid=(advice.best.grid_rows, advice.best.grid_cols),
    )
    assert a.relative_error == pytest.approx(advice.best.relative_error, abs=1e-7)


def test_lowest_error_at_a_budget() -> None:
    w = load("camera").array[::4, ::4]
    budget = budget_for_rank((128, 128), 8)
    advice = advise(w, budget=budget)
    errors = {
        (family, k): decompose(w, k).errors(family, [budget])[0]
        for k in (1, 2, 4, 8, 16, 32)
        for family in ("global", "diagonal", "localized", "adaptive")
    }
    winner = min(errors, key=errors.__getitem__)
    assert (advice.best.family, advice.best.grid_rows) == winner
    rest = min(error for (family, _), error in errors.items() if family != winner[0])
    assert advice.margin == pytest.approx(rest - errors[winner], abs=1e-7)
    assert advice.global_rank == 8
    assert advice.peft == {"r": 8}
    assert str(advice).startswith("With 2,048 parameters adaptive on ")


def test_energy_is_the_error_in_other_words() -> None:
    w = load("camera").array[::8, ::8]
    by_energy, by_error = advise(w, energy=0.99), advise(w, error=math.sqrt(0.01))
    assert by_energy.best == by_error.best
    assert by_energy.global_rank == by_error.global_rank
    assert "for 99 % of the energy" in str(by_energy)
    assert "for a relative error of at most 0.1" in str(by_error)


def test_low_rank_is_global_of_that_rank() -> None:
    w = load("low-rank", size=64, rank=3).array.copy()
    for dtype in (torch.float64, torch.float32):
        advice = advise(torch.as_tensor(w).to(dtype), error=0.0)
        assert (advice.best.family, advice.best.num_parameters) == ("global", 3 * 128)
        assert advice.global_rank == 3


def test_other_tools_state_the_global_rank() -> None:
    w = load("camera").array[::8, ::8]
    advice = advise(w, energy=0.95)
    exact = np.linalg.svd(w, compute_uv=False)
    np.testing.assert_allclose(advice.singular_values, exact, atol=1e-7 * exact[0])
    shares = np.cumsum(exact**2) / (exact**2).sum()
    assert advice.global_rank == int(np.argmax(shares >= 0.95)) + 1
    assert list(advice.other_tools) == [c.name for c in CONVERSIONS]
    for conversion in CONVERSIONS:
        value = advice.other_tools[conversion.name]
        assert value is not None
        assert conversion.rank(exact, value) == advice.global_rank == advice.peft["r"]


def test_gralora_only_where_its_structure_is_the_choice() -> None:
    w = load("planted-blocks", size=32, grid=4, rank=2).array
    advice = advise(w, error=0.0, grids=(1, 4), families=("global", "localized"))
    assert advice.best.family == "localized"
    assert (advice.peft["gralora_r"], advice.peft["gralora_k"]) == (8, 4)
    # Its parameters: A is K×(n/K)×r, B is K×r×(m/K).
    assert advice.best.num_parameters == 8 * (32 + 32)
    uneven = advise(w[:31], error=0.0, grids=(1, 4), families=("global", "localized"))
    assert uneven.best.family == "localized"
    assert set(uneven.peft) == {"r"}
    assert set(advise(w, error=0.0, grids=(1, 4)).peft) <= {"r", "gralora_r", "gralora_k"}


def test_full_rank_and_zero() -> None:
    noise = random_target((12, 10), torch.float64)
    exact = advise(noise, error=0.0, grids=(1, 2))
    assert exact.best.relative_error <= 1e-6
    assert exact.global_rank == 10
    nothing = advise(noise, error=1.0, grids=(1, 2))
    assert (nothing.best.num_parameters, nothing.global_rank, nothing.peft) == (0, 0, {})
    zero = advise(np.zeros((6, 6)), energy=1.0)
    assert zero.best.num_parameters == 0
    assert zero.global_rank == 0
    everything = advise(noise, budget=10**9, grids=(1, 2))
    assert everything.global_rank == 10
    assert everything.best.relative_error <= 1e-6


def test_no_structure_is_named_that_needs_more_numbers_than_the_matrix_has() -> None:
    camera = load("camera").array
    exact = advise(camera, error=0.0)
    assert (exact.best.family, exact.best.num_parameters) == (DENSE, 512 * 512)
    assert exact.best.relative_error == 0
    assert exact.runner_up is not None
    assert exact.runner_up.num_parameters == 522112
    assert "dense storage with 262,144 parameters has a relative error of 0; " in str(exact)
    below, above = advise(camera, budget=512 * 512 - 1), advise(camera, budget=512 * 512)
    assert below.best.family != DENSE
    assert (above.best.family, above.best.unused_parameters) == (DENSE, 0)
    # The other one is close, but it is not exact.
    assert above.margin > 0
    alone = advise(camera, error=0.0, families=("adaptive",), grids=(8,))
    assert alone.best.family == DENSE
    little = advise(camera, error=0.1, families=("adaptive",), grids=(8,))
    assert (little.best.family, getattr(little.runner_up, "family", "")) == ("adaptive", DENSE)


def test_of_several_matrices_all_entries_count() -> None:
    channels = [random_target((12, 10), torch.float64, seed=seed) for seed in (1, 2, 3)]
    found = pool([sweep(channel, (1, 2), None, [0]) for channel in channels])
    advice = advise_from(found, np.ones(30), error=0.0)
    assert (advice.best.family, advice.best.num_parameters) == (DENSE, 3 * 120)


def test_equal_numbers_are_not_told_as_a_difference() -> None:
    advice = advise(load("camera").array[::8, ::8], budget=512, grids=(1, 4))
    best = advice.best._replace(relative_error=0.06049)
    other = SweepRow("global", 1, 1, 512, 4.0, 512, 0, 0.06051)
    close = replace(advice, best=best, runner_up=other, margin=2e-5)
    assert str(close).endswith("; next is global with 0.0605, 2e-05 more.")
    same = replace(close, runner_up=other._replace(num_parameters=600), margin=0.0)
    assert str(same).endswith("; global has the same with 600.")
    goal = replace(close, goal="error", target=0.1, best=best._replace(num_parameters=511))
    assert str(replace(goal, margin=1.002)).endswith("; global needs 512.")
    assert str(replace(goal, margin=1.0)).endswith("; global needs as many.")
    nothing = advise(np.eye(6), error=1.0, grids=(1,), families=("global",))
    assert str(nothing).endswith("; dense storage needs 36.")


def test_scale_reaches_the_absolute_settings() -> None:
    w = load("camera").array[::8, ::8]
    one, thousand = advise(w, energy=0.9), advise(w * 1000, energy=0.9)
    assert thousand.best.family == one.best.family
    ours, theirs = one.other_tools["lycoris_threshold"], thousand.other_tools["lycoris_threshold"]
    assert ours is not None
    assert theirs == pytest.approx(1000 * ours)


def test_bad_input() -> None:
    w = np.eye(6)
    with pytest.raises(ValueError, match="exactly one of budget, error and energy; none is given"):
        advise(w)
    with pytest.raises(ValueError, match="given are budget, energy"):
        advise(w, budget=5, energy=0.9)
    with pytest.raises(ValueError, match=r"energy must be between 0 and 1; it is 1\.5"):
        advise(w, energy=1.5)
    with pytest.raises(ValueError, match=r"error must be between 0 and 1; it is -0\.1"):
        advise(w, error=-0.1)
    with pytest.raises(ValueError, match="it is nan"):
        advise(w, error=math.nan)
    with pytest.raises(ValueError, match="it is -3"):
        advise(w, budget=-3)
    with pytest.raises(ValueError, match="none of the families diagonal reaches"):
        advise(random_target((6, 6), torch.float64), error=0.1, grids=(2,), families=("diagonal",))
