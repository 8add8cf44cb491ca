"""Extraction: families, targets, the shared budget, what is skipped, back into a model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from lolora_core import FAMILIES, approximate, budget_for_rank
from lolora_core.adapters import adapter_delta, load_adapters, merge_adapters
from lolora_core.adapters.sets import AdapterSet
from lolora_core.blocks.gram import gram_spectra
from lolora_core.blocks.grid import Grid
from lolora_core.blocks.svd import randomized_svd
from lolora_core.checkpoints import extract_adapters, resize_adapters
from lolora_core.checkpoints.pool import pooled_ranks
from lolora_core.families.base import Steps


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 24)
        self.wide = nn.Linear(24, 36)
        self.norm = nn.LayerNorm(36)
        self.narrow = nn.Linear(36, 12)

    def forward(self, x: Tensor) -> Tensor:
        return self.narrow(torch.tanh(self.norm(self.wide(x))))


def tuned(base: nn.Module, seed: int = 0) -> dict[str, Tensor]:
    """A fine-tune whose updates have falling spectra and one strong block."""
    random = torch.Generator().manual_seed(seed)
    state = {name: value.clone() for name, value in base.state_dict().items()}
    for value in state.values():
        if value.ndim == 2:
            m, n = value.shape
            scale = torch.arange(1, min(m, n) + 1).float() ** -1.0
            left = torch.linalg.qr(torch.randn(m, min(m, n), generator=random)).Q
            right = torch.linalg.qr(torch.randn(n, min(m, n), generator=random)).Q
            value += (left * scale) @ right.T
            value[: m // 2, : n // 2] += torch.randn(m // 2, n // 2, generator=random) / 10
    return state


@pytest.fixture
def pair() -> tuple[Net, dict[str, Tensor]]:
    torch.manual_seed(0)
    base = Net()
    return base, tuned(base)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_extracted_optimally_and_loads_into_the_base(
    pair: tuple[Net, dict[str, Tensor]], family: str, tmp_path: Path
) -> None:
    base, after = pair
    found = extract_adapters(base.state_dict(), after, family=family, rank=4, grid=2, n_jobs=1)
    assert set(found.adapters.terms) == {"wide", "narrow"}
    for row in found.rows:
        weight = f"{row['name']}.weight"
        delta = after[weight] - base.state_dict()[weight]
        budget = budget_for_rank(delta.shape, 4)
        best = approximate(delta, family, budget=budget, grid=2)
        assert row["relative_error"] == pytest.approx(best.relative_error, rel=1e-4)
        assert row["num_parameters"] == best.num_parameters <= budget
        dense = best.dense()
        torch.testing.assert_close(found.adapters.delta(row["name"]), dense, atol=2e-6, rtol=0)
    found.save(tmp_path / "adapter")
    load_adapters(base, tmp_path / "adapter")
    for name, delta in adapter_delta(base).items():
        torch.testing.assert_close(delta, found.adapters.delta(name), atol=1e-6, rtol=0)


def test_a_full_rank_adapter_turns_the_base_into_the_fine_tune(
    pair: tuple[Net, dict[str, Tensor]], tmp_path: Path
) -> None:
    base, after = pair
    extract_adapters(base.state_dict(), after, family="global", error=0.0, n_jobs=1).save(tmp_path)
    x = torch.randn(3, 24)
    load_adapters(base, tmp_path)
    merge_adapters(base)
    wanted = Net()
    wanted.load_state_dict(after)
    torch.testing.assert_close(base(x), wanted(x), atol=1e-5, rtol=0)


def test_what_gets_no_adapter_is_listed(pair: tuple[Net, dict[str, Tensor]]) -> None:
    base, after = pair
    after["narrow.weight"] = base.state_dict()["narrow.weight"]
    found = extract_adapters(base.state_dict(), after, family="global", rank=2, n_jobs=1)
    assert found.skipped["narrow.weight"] == "it has not changed"
    assert "an nn.Embedding, or an nn.Linear" in found.skipped["embed.weight"]
    assert found.skipped["norm.weight"] == "it has not changed"
    named = extract_adapters(
        base.state_dict(), after, family="global", rank=2, target_modules=["embed"], n_jobs=1
    )
    assert list(named.adapters.terms) == ["embed"]
    assert named.skipped["wide.weight"] == "target_modules does not name it"
    with pytest.raises(ValueError, match=r"no matrix gets an adapter; .*grid 30×30 does not fit"):
        extract_adapters(
            {"a.weight": torch.zeros(4, 4)},
            {"a.weight": torch.eye(4)},
            family="localized",
            rank=1,
            grid=30,
            n_jobs=1,
        )


@pytest.mark.parametrize("family", ["global", "localized", "adaptive", "hybrid"])
def test_an_error_is_reached_with_the_fewest_parameters(
    pair: tuple[Net, dict[str, Tensor]], family: str
) -> None:
    base, after = pair
    state = base.state_dict()
    found = extract_adapters(state, after, family=family, error=0.3, grid=2, n_jobs=1)
    for row in found.rows:
        assert row["relative_error"] <= 0.3 + 1e-6
        delta = after[f"{row['name']}.weight"] - state[f"{row['name']}.weight"]
        fewer = row["num_parameters"] - 1
        assert approximate(delta, family, budget=fewer, grid=2).relative_error > 0.3
    same = extract_adapters(state, after, family=family, energy=0.91, grid=2, n_jobs=1)
    assert [r["num_parameters"] for r in same.rows] == [r["num_parameters"] for r in found.rows]


def test_an_error_out_of_reach_says_so(pair: tuple[Net, dict[str, Tensor]]) -> None:
    base, after = pair
    with pytest.raises(ValueError, match="diagonal on the 2×2 grid does not reach"):
        extract_adapters(base.state_dict(), after, family="diagonal", error=0.01, grid=2, n_jobs=1)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_shared_budget_is_kept_and_never_worse(
    pair: tuple[Net, dict[str, Tensor]], family: str
) -> None:
    base, after = pair
    after["wide.weight"] = base.wide.weight.detach() + 9 * (
        after["wide.weight"] - base.wide.weight.detach()
    )
    settings: dict[str, Any] = {"family": family, "rank": 4, "grid": 2, "n_jobs": 1}
    apart = extract_adapters(base.state_dict(), after, **settings)
    together = extract_adapters(base.state_dict(), after, shared=True, **settings)
    budget = budget_for_rank((36, 24), 4) + budget_for_rank((12, 36), 4)
    assert together.adapters.num_parameters <= budget
    norm = sum(row["update_norm"] ** 2 for row in apart.rows)

    def left(extraction: Any) -> float:
        kept = sum(
            row["update_norm"] ** 2 * (1 - row["relative_error"] ** 2) for row in extraction.rows
        )
        return 1 - kept / norm

    assert left(together) <= left(apart) + 1e-9
    ranks = {row["name"]: row["num_parameters"] for row in together.rows}
    assert ranks["wide"] > budget_for_rank((36, 24), 4)


def test_a_shared_global_budget_is_the_best_there_is() -> None:
    # Equal shapes cost the same, so the best split keeps the largest singular values of all.
    base = {f"{n}.weight": torch.zeros(6, 6) for n in "abc"}
    values = {"a": [9.0, 1.0], "b": [5.0, 4.0], "c": [2.0, 1.5]}
    after = {f"{n}.weight": torch.diag(torch.tensor(v + [0.5] * 4)) for n, v in values.items()}
    found = extract_adapters(base, after, family="global", budget=4 * 12, shared=True, n_jobs=1)
    assert {row["name"]: row["rank"] for row in found.rows} == {"a": 1, "b": 2, "c": 1}


def test_the_sketch_is_within_a_percent_of_the_optimum(svd_calls: list[tuple[int, ...]]) -> None:
    random = torch.Generator().manual_seed(3)
    delta = torch.randn(256, 256, generator=random)
    delta += 3 * torch.randn(256, 8, generator=random) @ torch.randn(8, 256, generator=random)
    found = extract_adapters(None, {"a.weight": delta}, family="global", rank=16, n_jobs=1)
    assert (256, 256) not in [shape[-2:] for shape in svd_calls]
    values = torch.linalg.svdvals(delta.double())
    best = float((values[16:] ** 2).sum().sqrt() / values.norm())
    assert best <= found.rows[0]["relative_error"] * (1 + 1e-6) <= 1.01 * best
    assert randomized_svd(delta[None], 4)[1].shape == (1, 4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_stored_and_its_error_measured(
    pair: tuple[Net, dict[str, Tensor]], dtype: torch.dtype, tmp_path: Path
) -> None:
    base, after = pair
    state = base.state_dict()
    settings: dict[str, Any] = {"family": "localized", "error": 0.0, "grid": 2, "n_jobs": 1}
    full = extract_adapters(state, after, **settings)
    half = extract_adapters(state, after, dtype=dtype, **settings)
    assert half.adapters.nbytes == full.adapters.nbytes / 2
    eps = torch.finfo(dtype).eps
    assert full.relative_error < eps / 8 < half.relative_error < 2 * eps
    half.save(tmp_path)
    assert AdapterSet.load(tmp_path).terms["wide"][0].A[0].dtype == dtype
    load_adapters(base, tmp_path)
    torch.testing.assert_close(adapter_delta(base)["wide"], half.adapters.delta("wide"))


def test_resize_finds_the_best_of_another_family(tmp_path: Path) -> None:
    random = torch.Generator().manual_seed(5)
    delta = torch.zeros(16, 16)
    delta[:8, :8] = torch.randn(8, 2, generator=random) @ torch.randn(2, 8, generator=random)
    extract_adapters(None, {"a.weight": delta}, family="localized", rank=8, grid=2, n_jobs=1).save(
        tmp_path
    )
    smaller = resize_adapters(tmp_path, family="adaptive", rank=1, grid=2, n_jobs=1)
    (row,) = smaller.rows
    assert (row["num_parameters"], row["relative_error"]) == (32, pytest.approx(0, abs=1e-5))
    (term,) = smaller.adapters.terms["a"]
    np.testing.assert_array_equal(term.layout.rank_map, [[2, 0], [0, 0]])


def test_what_is_not_finite_is_named_and_the_rest_extracted(
    pair: tuple[Net, dict[str, Tensor]],
) -> None:
    base, after = pair
    after["wide.weight"][2, 3] = float("inf")
    found = extract_adapters(base.state_dict(), after, family="global", rank=2, n_jobs=1)
    assert [row["name"] for row in found.rows] == ["narrow"]
    reason = found.skipped["wide.weight"]
    assert "wide.weight of tuned must be finite; 1 entry" in reason
    assert "(2, 3)" in reason
    assert math.isnan(found.whole_relative_error)
    assert 0 < found.relative_error < 1


def test_threads_give_the_same_bits(pair: tuple[Net, dict[str, Tensor]]) -> None:
    base, after = pair
    one, two = (
        extract_adapters(base.state_dict(), after, family="hybrid", rank=4, grid=2, n_jobs=jobs)
        for jobs in (1, 2)
    )
    assert one.rows == two.rows
    for name in one.adapters.terms:
        assert torch.equal(one.adapters.delta(name), two.adapters.delta(name))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "exactly one of budget, rank, energy and error"),
        ({"rank": 1, "energy": 0.5}, "given: rank, energy"),
        ({"budget": -1}, "must be 0 or more"),
        ({"energy": 0.0}, "energy is a share"),
        ({"error": 1.0}, "error is a relative error"),
        ({"rank": 1, "dtype": torch.float64}, "dtype must be one of float32, float16, bfloat16"),
        ({"rank": 1, "family": "lora"}, "family must be one of"),
        ({"error": 0.5, "shared": True}, "an error is reached matrix by matrix"),
        ({"rank": 1, "target_modules": ["other"]}, "target_modules: 'other' matches no nn.Linear"),
        ({"rank": 1, "exclude_modules": ["other"]}, "exclude_modules: 'other' matches no"),
        ({"budget": 3}, "no matrix gets an adapter"),
        ({"rank": 1, "grid": 0}, "grid 0×0"),
    ],
)
def test_settings_that_are_not_allowed_say_so(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        extract_adapters(
            {"a.weight": torch.zeros(4, 4)},
            {"a.weight": torch.eye(4)},
            n_jobs=1,
            **({"family": "global"} | settings),
        )


def test_a_rank_is_never_counted_before_the_one_below_it() -> None:
    grid = Grid.regular((2, 2), 1)
    lanes = np.zeros(2, dtype=np.int64)
    # The second rank is cheaper, as where small blocks have no second rank to pay for.
    for energies in ([4.0, 3.9], [1.0, 10.0]):
        steps = Steps(lanes, np.array(energies), np.array([10, 2]), grid, np.array([[0]]))
        assert pooled_ranks({"a": steps}, 5)["a"] == 0
        assert pooled_ranks({"a": steps}, 10)["a"] == 1
        assert pooled_ranks({"a": steps}, 12)["a"] == 2


@given(st.integers(0, 400), st.integers(0, 2**32 - 1), st.sampled_from(sorted(FAMILIES)))
def test_a_pooled_budget_is_kept_on_blocks_of_any_size(budget: int, seed: int, family: str) -> None:
    random = np.random.default_rng(seed)
    chosen = FAMILIES[family]
    steps = {}
    for name, shape in (("a", (5, 7)), ("b", (6, 3)), ("c", (9, 9))):
        work = torch.as_tensor(random.standard_normal(shape) * 10 ** random.uniform(-2, 2))
        steps[name] = chosen.steps(gram_spectra(work, chosen.grid(Grid.regular(shape, 2))))
    ranks = pooled_ranks(steps, budget)
    spent = sum(int((ranks[name] * part.grid.costs).sum()) for name, part in steps.items())
    assert spent <= budget
    assert all((ranks[name] <= part.grid.max_ranks).all() for name, part in steps.items())
    more = pooled_ranks(steps, 10**6)
    if chosen.reaches_zero:
        assert all((more[name] == part.grid.max_ranks).all() for name, part in steps.items())
