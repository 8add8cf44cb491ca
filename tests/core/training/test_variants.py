"""Variants of the families: their ΔW against its definition, their size, scaling and rates."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lolora_core.adapters import adapter_layers
from lolora_core.blocks.grid import Grid
from lolora_core.training import METHODS, Method, Run, fine_tune, optimum, resolve_task
from lolora_core.training.variants import ALPHA, B_SCALE, VARIANTS, Blast, Permuted, blast_rank

CPU = torch.device("cpu")


def start(method: str | Method, task: str = "planted-blocks", **options: int) -> Run:
    options = {"steps": 3, **options}
    return fine_tune(task, method, lr=1e-2, device="cpu", **options)  # type: ignore[arg-type]


def update(run: Run, module: str = "layer") -> nn.Module:
    held = run.model.get_submodule(module).parametrizations
    return cast(parametrize.ParametrizationList, held["weight"])[0]  # type: ignore[index]


@pytest.mark.parametrize("task", ["planted-blocks", "digits-transformer"])
@pytest.mark.parametrize("name", VARIANTS)
def test_it_starts_as_the_base(name: str, task: str) -> None:
    base = resolve_task(task).build(0)
    inputs = base.splits["test"].inputs[:8]
    run = start(Method(name, rank=8), task)
    assert not any(delta.any() for delta in run.deltas().values())
    assert torch.equal(run.model(inputs), base.model(inputs))
    next(run)
    next(run)
    assert all(delta.any() for delta in run.deltas().values())


@pytest.mark.parametrize("name", [name for name in VARIANTS if name != "blast"])
def test_it_has_as_many_parameters_as_its_family(name: str) -> None:
    family = METHODS[name].family or "localized"
    run = start(Method(name, rank=8, grid=3), "digits-rotated")
    own = start(Method(family, rank=8, grid=3), "digits-rotated")
    assert run.num_parameters == own.num_parameters
    assert math.isnan(run.share)
    assert Method(name).kind.has_budget
    assert Method(name).kind.has_grid == (family == "localized")


@pytest.mark.parametrize("grid", [4, (2, 5)])
def test_blast_fits_the_budget_and_one_more_rank_does_not(grid: int | tuple[int, int]) -> None:
    run = start(Method("blast", rank=8, grid=grid))
    budget, each = 8 * 256, 256 + (16 if grid == 4 else 10)
    assert run.num_parameters % each == 0
    assert run.num_parameters <= budget < run.num_parameters + each
    assert run.size == f"b = {run.num_parameters // each}"
    assert run.share == run.num_parameters / budget
    assert Method("blast", rank=8).label == "blast r=8 K=4"


def test_blast_says_all_its_ranks_where_matrices_differ() -> None:
    run = start(Method("blast", rank=32, grid=4), "digits-rotated")
    sizes = [
        (tuple(d.shape), blast_rank(Grid.regular(d.shape, 4), 32)) for d in run.deltas().values()
    ]
    assert sizes == [((256, 64), 30), ((256, 256), 31)]
    assert run.size == "b = 30–31"


def test_blast_names_the_smallest_rank_that_works() -> None:
    with pytest.raises(ValueError, match=r"module 'layer' \(128×128\): rank 1 .* works is 2$"):
        start(Method("blast", rank=1, grid=4))
    assert start(Method("blast", rank=2, grid=4)).size == "b = 1"
    with pytest.raises(ValueError, match=r"module 'fc1' \(256×64\): grid 65×65 does not fit"):
        start(Method("blast", grid=65), "digits-rotated")
    with pytest.raises(ValueError, match=r"module 'layer' \(128×128\); the smallest .* is 4$"):
        start(Method("localized-permuted", rank=3, grid=4))


def test_blast_is_its_formula() -> None:
    torch.manual_seed(0)
    grid, b = Grid.regular((11, 7), 3, 2), 2
    blast = Blast(grid, b, torch.float64, CPU)
    u, v, s = blast.U, blast.V, blast.s
    assert not u.any()
    assert (s == 1).all()
    for j in range(2):
        part = v[grid.block(0, j)[1]].abs().max()
        assert 0 < part <= 1 / math.sqrt(grid.col_sizes[j])
    with torch.no_grad():
        for factor in (u, v, s):
            factor.normal_()
    delta = blast.delta().detach()
    dense = torch.zeros(11, 7, dtype=torch.float64)
    for i in range(3):
        for j in range(2):
            rows, cols = grid.block(i, j)
            for a in range(rows.start, rows.stop):
                for c in range(cols.start, cols.stop):
                    dense[a, c] = sum(u[a, k] * s[i, j, k] * v[c, k] for k in range(b))
    torch.testing.assert_close(delta, dense)
    # A row of blocks shares U_i, a column of blocks V_j.
    for parts in (delta.split([4, 4, 3]), delta.split([4, 3], dim=1)):
        assert {int(torch.linalg.matrix_rank(part)) for part in parts} == {b}
    assert int(torch.linalg.matrix_rank(delta)) == 2 * b


@pytest.mark.parametrize("task", ["planted-blocks", "digits-rotated"])
def test_permuted_is_localized_once_it_is_put_back(task: str) -> None:
    run = start(Method("localized-permuted", rank=8, grid=4), task, seed=5)
    own = start(Method("localized", rank=8, grid=4), task, seed=5)
    for name, layer in adapter_layers(own.model).items():
        term = update(run, name).term
        for mine, theirs in zip(term.A, layer.block_terms[0].A, strict=True):  # type: ignore[arg-type, union-attr]
            assert torch.equal(mine, theirs)
    list(run)
    orders = []
    for name, delta in run.deltas().items():
        permuted = cast(Permuted, update(run, name))
        grid = Grid.regular(delta.shape, 4)
        back = torch.zeros_like(delta)
        for a, row in enumerate(permuted.rows.tolist()):
            for c, col in enumerate(permuted.cols.tolist()):
                back[row, col] = delta[a, c]
        assert set(ranks(back, grid)) == {8 * sum(delta.shape) // int(grid.costs.sum())}
        assert min(ranks(delta, grid)) > 4
        assert int(torch.linalg.matrix_rank(delta)) == int(torch.linalg.matrix_rank(back))
        orders += [permuted.rows, permuted.cols]
    assert all(not torch.equal(a, b) for a, b in pairwise(orders))


def ranks(matrix: Tensor, grid: Grid) -> list[int]:
    blocks = (grid.block(i, j) for i in range(grid.blocks[0]) for j in range(grid.blocks[1]))
    return [int(torch.linalg.matrix_rank(matrix[block])) for block in blocks]


def test_the_seed_draws_the_permutation() -> None:
    first, again, other = (
        cast(Permuted, update(start("localized-permuted", seed=seed))) for seed in (3, 3, 4)
    )
    for part in ("rows", "cols"):
        drawn = getattr(first, part)
        assert drawn.sort().values.tolist() == list(range(128))
        assert torch.equal(drawn, getattr(again, part))
        assert not torch.equal(drawn, getattr(other, part))


@pytest.mark.parametrize("rank", [4, 16])
def test_alpha_is_fixed(rank: int) -> None:
    wanted = {"localized-fixed-alpha": ALPHA / rank, "localized-rslora": ALPHA / rank**0.5}
    for name, scaling in wanted.items():
        run = start(Method(name, rank=rank))
        list(run)
        term = adapter_layers(run.model)["layer"].block_terms[0]
        assert term.scaling == pytest.approx(scaling, rel=1e-12)
        for (i, j), (b, a) in term.factors().items():
            block = run.deltas()["layer"][term.layout.grid.block(i, j)]
            torch.testing.assert_close(block, scaling * b @ a)


@pytest.mark.parametrize("family", ["global", "localized"])
def test_b_learns_sixteen_times_as_fast_as_a(family: str) -> None:
    plus, plain = start(f"{family}-lora-plus"), start(family)
    terms = [adapter_layers(run.model)["layer"].block_terms[0] for run in (plus, plain)]
    fast, slow = terms
    before = [piece.detach().clone() for piece in fast.A]
    for run in (plus, plain):
        next(run)
        next(run)
    assert B_SCALE == 16
    for mine, theirs in zip(fast.B, slow.B, strict=True):
        torch.testing.assert_close(mine, 16 * theirs, rtol=1e-5, atol=0)
    # A's first gradient is 0, as B was: Adam's first step of it is the run's second, and smaller.
    next(plus)
    next(plain)
    rate = plain._optimizer.param_groups[0]["lr"]
    for piece, old in zip(fast.A, before, strict=True):
        moved = float((piece.detach() - old).abs().max())
        assert 0.5 * rate < moved < 1.01 * rate


def test_the_rates_of_lora_plus_have_the_mean_of_the_others() -> None:
    for task in ("image", "unknown"):
        own = Method("localized").learning_rate(task)
        for name in VARIANTS:
            lower = math.sqrt(B_SCALE) if name.endswith("lora-plus") else 1
            assert Method(name).learning_rate(task) == own / lower


def test_the_head_learns_at_the_rate_of_the_run() -> None:
    run = start("localized-lora-plus", "digits-rotated")
    for _ in range(2):
        next(run)
    scales = {
        id(parameter): group["lr_scale"]
        for group in run._optimizer.param_groups
        for parameter in group["params"]
    }
    for name, parameter in run.model.named_parameters():
        if parameter.requires_grad:
            assert scales[id(parameter)] == (B_SCALE if ".B." in name else 1)
    rates = {group["lr_scale"]: group["lr"] for group in run._optimizer.param_groups}
    assert rates == {1: rates[1], B_SCALE: B_SCALE * rates[1]}
    assert len(scales) == len(run.parameters)


def test_the_optimum_is_that_of_the_family() -> None:
    for name in VARIANTS:
        found = optimum("planted-global", Method(name, rank=8))
        if name in ("localized-permuted", "blast"):
            assert found is None
        else:
            family = Method(name.split("-")[0], rank=8)
            assert found is not None
            assert found == optimum("planted-global", family)


@pytest.mark.parametrize("default", ["cpu", "meta"])
@pytest.mark.parametrize("name", VARIANTS)
def test_it_lies_where_the_base_does_and_reads_no_values(name: str, default: str) -> None:
    meta = torch.device("meta")
    problem = resolve_task("digits-transformer").build(0).to(meta)
    with torch.device(default):
        attached = Method(name, rank=8).attach(problem, 0)
        out = attached.model(problem.splits["test"].inputs[:2])
    held = [*attached.parameters, *attached.model.buffers(), out]
    assert {tensor.device for tensor in held} == {meta}
    for delta, weight in zip(attached.deltas().values(), problem.weights().values(), strict=True):
        assert (delta.device, delta.shape) == (meta, weight.shape)


@pytest.mark.parametrize("name", ["localized-permuted", "blast"])
def test_half_precision_bases_have_factors_in_float32(name: str) -> None:
    problem = resolve_task("planted-blocks").build(0)
    problem.model.bfloat16()
    attached = Method(name, rank=8).attach(problem, 0)
    assert {parameter.dtype for parameter in attached.parameters} == {torch.float32}
    assert attached.deltas()["layer"].dtype == torch.float32
    assert attached.model(torch.ones(1, 128, dtype=torch.bfloat16)).dtype == torch.bfloat16
