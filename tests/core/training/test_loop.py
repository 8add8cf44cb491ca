"""The loop: records, determinism, snapshots, divergence; and every method on every small task."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, replace
from importlib.util import find_spec
from itertools import pairwise

import pytest
import torch

from lolora_core.training import (
    METHODS,
    TASKS,
    DivergedError,
    Method,
    Record,
    fine_tune,
    optimum,
    resolve_device,
)
from lolora_core.training import loop as loop_module
from lolora_core.training import methods as methods_module
from lolora_core.training.peft_methods import PEFT_METHODS
from lolora_core.training.variants import VARIANTS

SMALL = [name for name in TASKS if name not in ("docstrings", "mnist", "fashion-mnist")]
#: For the methods of PEFT: layers with a bias, without, and within a transformer.
FEW = ["digits-rotated", "planted-blocks", "digits-transformer"]
PRESENT = [name for name, kind in METHODS.items() if not kind.package or find_spec(kind.package)]
ADAPTED = [name for name in PRESENT if METHODS[name].family or name in VARIANTS]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def numbers(records: list[Record]) -> list[tuple[object, ...]]:
    """Everything that must repeat bit for bit: all but the clock's readings."""
    return [astuple(replace(record, seconds=0, samples_per_second=0)) for record in records]


def train(task: str, method: str | Method, **options: object) -> list[Record]:
    return list(fine_tune(task, method, device="cpu", **options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "task"),
    [(method, task) for method in PRESENT for task in (FEW if method in PEFT_METHODS else SMALL)],
)
def test_every_method_trains_on_every_task(method: str, task: str) -> None:
    run = fine_tune(task, method, steps=3, device="cpu", evaluate_every=2)
    base = {name: weight.detach().clone() for name, weight in run.problem.weights().items()}
    records = list(run)
    assert [record.step for record in records] == [0, 1, 2, 3]
    assert [record.eval_loss is not None for record in records] == [True, False, True, True]
    assert [record.delta_norm is not None for record in records] == [True, False, True, True]
    for record in records:
        assert record.train_loss is None if record.step == 0 else math.isfinite(record.train_loss)  # type: ignore[arg-type]
    whole = math.sqrt(sum(float(weight.double().square().sum()) for weight in base.values()))
    # What moves part of W into its factors adds up to W but for rounding.
    moves = method in PEFT_METHODS and PEFT_METHODS[method].moves_base
    assert records[0].delta_norm is not None
    assert records[0].delta_norm <= (1e-6 * whole if moves else 0)
    deltas = run.deltas()
    assert {name: d.shape for name, d in deltas.items()} == {n: w.shape for n, w in base.items()}
    norm = math.sqrt(sum(float(delta.double().square().sum()) for delta in deltas.values()))
    assert records[-1].delta_norm == pytest.approx(norm, rel=1e-5)
    assert (norm == 0) == (method == "frozen")
    assert all(math.isfinite(value) for value in run.evaluate("test"))


@pytest.mark.parametrize("method", ADAPTED)
@pytest.mark.parametrize("task", ["digits-rotated", "digits-transformer"])
def test_every_structure_has_the_budget(task: str, method: str) -> None:
    run = fine_tune(task, Method(method, rank=8), steps=1, device="cpu")
    head = sum(p.numel() for h in run.problem.head for p in run.model.get_submodule(h).parameters())
    budget = sum(8 * sum(delta.shape) for delta in run.deltas().values())
    used = run.num_parameters - head
    # Ranks are whole numbers: in each matrix adaptive may leave less than one rank of a block, and
    # blast less than one of the whole.
    spare = {"adaptive": (256 + 256) // 4, "blast": 256 + 256 + 4 * 4}.get(method, 0)
    assert budget - spare * len(run.deltas()) <= used <= budget


@pytest.mark.parametrize("method", PRESENT)
def test_delta_is_what_the_output_has_gained(method: str) -> None:
    run = fine_tune("planted-blocks", method, steps=3, lr=0.1, device="cpu")
    x = run.problem.splits["test"].inputs
    with torch.no_grad():
        before = run.model(x)
        list(run)
        gained = run.model(x) - before
    torch.testing.assert_close(gained, x @ run.deltas()["layer"].T, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", PRESENT)
def test_only_what_is_declared_changes(method: str) -> None:
    run = fine_tune("digits-rotated", method, steps=2, device="cpu")
    before = {name: tensor.clone() for name, tensor in run.model.state_dict().items()}
    list(run)
    changed = {n for n, t in run.model.state_dict().items() if not torch.equal(t, before[n])}
    trained = {n for n, p in run.model.named_parameters() if any(p is q for q in run.parameters)}
    assert changed == trained
    head = {"fc3.weight", "fc3.bias"}
    assert head <= changed
    if method == "frozen":
        assert changed == head
    elif method == "full":
        assert changed == set(before)
    elif method not in PEFT_METHODS or not PEFT_METHODS[method].moves_base:
        pretrained = dict(TASKS["digits-rotated"].build(0).model.named_parameters())
        kept = {n: t for n, t in run.model.state_dict().items() if n not in changed}
        for name in ("fc1", "fc2"):
            for part in ("weight", "bias"):
                wanted = pretrained[f"{name}.{part}"]
                assert any(n.startswith(name) and torch.equal(t, wanted) for n, t in kept.items())


@pytest.mark.parametrize("method", ["localized", "adaptive", "hybrid", "full", *VARIANTS])
def test_a_seed_repeats_bit_for_bit_and_another_differs(method: str) -> None:
    runs = []
    for seed in (3, 3, 4):
        torch.rand(1)
        runs.append(train("digits-rotated", method, steps=12, seed=seed))
    first, again, other = runs
    assert numbers(first) == numbers(again)
    assert numbers(first) != numbers(other)


def test_examples_come_in_the_same_order_for_every_method() -> None:
    # So small a rate leaves every model where it is: the losses tell which examples came.
    losses = [
        [r.train_loss for r in train("digits-noisy", method, steps=25, lr=1e-12)][1:]
        for method in ("localized", "global", "full", "frozen")
    ]
    for other in losses[1:]:
        assert other == pytest.approx(losses[0], rel=1e-5)
    assert len(set(losses[0])) == 25


def test_runs_side_by_side_do_not_disturb_each_other() -> None:
    alone = [numbers(train("digits-rotated", "localized", steps=8, seed=s)) for s in (0, 1)]
    torch.rand(1)
    state = torch.get_rng_state()
    with ThreadPoolExecutor(2) as pool:
        together = pool.map(
            lambda seed: numbers(train("digits-rotated", "localized", steps=8, seed=seed)), (0, 1)
        )
        assert list(together) == alone
    assert torch.equal(torch.get_rng_state(), state)


def test_no_dense_update_is_built_between_evaluations(monkeypatch: pytest.MonkeyPatch) -> None:
    run = fine_tune("planted-blocks", "localized", steps=6, device="cpu", evaluate_every=3)
    built: list[int] = []
    original = run.deltas

    def counted() -> dict[str, torch.Tensor]:
        built.append(run.step + 1)
        return original()

    monkeypatch.setattr(run, "deltas", counted)
    list(run)
    assert built == [0, 3, 6]


def test_closing_the_generator_ends_the_run() -> None:
    records = fine_tune("planted-blocks", "localized", steps=50, device="cpu")
    assert next(records).step == 0
    assert next(records).step == 1
    records.close()
    assert list(records) == []


def test_a_closed_run_keeps_its_records() -> None:
    run = fine_tune("planted-blocks", "localized", steps=50, device="cpu")
    next(run)
    run.close()
    assert run.finished
    assert list(run) == []
    assert len(run.records) == 1


def test_the_best_snapshot_is_that_of_the_least_loss() -> None:
    run = fine_tune("digits-noisy", "full", steps=200, lr=0.03, device="cpu", evaluate_every=20)
    losses = {}
    for record in run:
        if record.eval_loss is not None:
            losses[record.step] = record.eval_loss
            assert run.best is not None
            assert run.best.step == min(losses, key=losses.__getitem__)
    assert run.best is not None
    at = run.best
    assert 0 < at.step < 200
    before = [parameter.detach().clone() for parameter in run.parameters]
    assert run.evaluate("validation", at)[0] == losses[at.step]
    assert run.evaluate(run.problem.splits["validation"], at)[0] == losses[at.step]
    # Nothing is changed by the look back.
    assert all(torch.equal(a, b) for a, b in zip(before, run.parameters, strict=True))
    assert run.evaluate("validation")[0] == losses[200]


def test_a_run_that_goes_back_forgets_what_was_best_later() -> None:
    run = fine_tune("digits-rotated", "full", steps=20, device="cpu", evaluate_every=2)
    for record in run:
        if record.step == 4:
            early = run.snapshot()
    assert run.best is not None
    assert run.best.step > 4
    run.restore(early)
    assert run.best.step == 4
    first = next(r for r in run if r.eval_loss is not None)
    assert run.best.step == first.step == 6


@pytest.mark.parametrize("method", ["localized", "full", "frozen", *VARIANTS])
def test_a_restored_snapshot_goes_on_bit_for_bit(method: str) -> None:
    run = fine_tune("digits-rotated", method, steps=14, device="cpu")
    for _ in range(6):
        next(run)
    snapshot = run.snapshot()
    rest = numbers(list(run))
    run.restore(snapshot)
    assert run.records[-1].step == snapshot.step == 5
    assert numbers(list(run)) == rest
    run.restore(snapshot)
    assert numbers(list(run)) == rest


@pytest.mark.parametrize("method", ["localized", "full"])
@pytest.mark.parametrize(
    ("task", "rate", "became"),
    [
        ("digits-rotated", 1e15, "NaN"),
        ("digits-rotated", 1e6, r"\d\.\d+e\+\d+"),
        ("image", 1e6, r"\d\.\d+e\+\d+"),
    ],
)
def test_divergence_is_a_sentence_and_loses_nothing(
    task: str, rate: float, became: str, method: str
) -> None:
    run = fine_tune(task, method, steps=60, lr=rate, device="cpu", evaluate_every=2)
    with pytest.raises(DivergedError, match=rf"^loss became {became} at step \d+$") as caught:
        list(run)
    assert run.finished
    assert run.error is caught.value
    assert caught.value.step == len(run.records) >= 1
    assert list(run) == []
    assert run.last_good is not None
    run.restore(run.last_good)
    assert math.isfinite(run.evaluate("validation")[0])
    assert run.step == run.records[-1].step


def test_the_generator_raises_after_the_records_so_far() -> None:
    records = fine_tune("digits-rotated", "full", lr=1e6, steps=60, device="cpu")
    assert [next(records).step for _ in range(2)] == [0, 1]
    with pytest.raises(DivergedError):
        list(records)


@pytest.mark.parametrize("kind", ["planted-blocks", "planted-global"])
@pytest.mark.parametrize("method", ["global", "diagonal", "localized", "adaptive"])
def test_no_family_gets_below_its_svd_optimum(kind: str, method: str) -> None:
    chosen = Method(method, rank=8)
    reached = train(kind, chosen, steps=250, lr=1e-2, split="test")[-1]
    least, target = optimum(kind, chosen), TASKS[kind].target
    assert least is not None
    assert target is not None
    assert reached.metric is not None
    assert reached.metric >= least - 1e-6
    assert reached.metric <= least + 0.02
    assert reached.eval_loss == pytest.approx(
        reached.metric**2 * float(target(0).square().sum()) / 128,
        rel=1e-3,
        abs=1e-9,
    )


def test_optimum_of_the_methods_without_a_rank() -> None:
    assert optimum("image", "full") == 0
    assert optimum("image", "frozen") == 1
    assert optimum("digits-rotated", "localized") is None


def test_there_is_an_optimum_only_where_it_is_proven() -> None:
    assert optimum("planted-blocks", Method("hybrid", rank=8)) is None
    # 128 = 3·42 + 2: blocks of several sizes, among which adaptive chooses by a rule of thumb.
    assert optimum("planted-blocks", Method("adaptive", rank=8, grid=3)) is None
    assert optimum("planted-blocks", Method("localized", rank=8, grid=3)) is not None
    assert optimum("planted-blocks", Method("global", rank=8, grid=3)) is not None


def test_arguments_are_checked_before_anything_is_trained() -> None:
    for options, message in (
        ({"lr": 0.0}, "lr must be a positive number; it is 0.0"),
        ({"lr": math.nan}, "lr must be a positive number; it is nan"),
        ({"steps": 0}, "steps must be an integer of 1 or more; it is 0"),
        ({"evaluate_every": -1}, "evaluate_every must be an integer of 1 or more; it is -1"),
        ({"split": "tests"}, "there is no split 'tests'; did you mean test"),
        ({"device": "abacus"}, "device must be auto or one that is there .*; it is 'abacus'"),
    ):
        with pytest.raises(ValueError, match=message):
            fine_tune("digits-rotated", "full", **options)
    with pytest.raises(ValueError, match="no task 'digit-rotated'; did you mean digits-rotated"):
        fine_tune("digit-rotated", "full")
    with pytest.raises(ValueError, match="no method 'localised'; did you mean localized"):
        fine_tune("digits-rotated", "localised")
    with pytest.raises(ValueError, match="rank must be an integer of 1 or more; it is 0"):
        Method("localized", rank=0)
    with pytest.raises(ValueError, match=r"rank 300 .* module 'fc1'.*64"):
        fine_tune("digits-rotated", Method("global", rank=300), device="cpu")
    with pytest.raises(ValueError, match="smallest rank that works is 4"):
        fine_tune("digits-rotated", Method("localized", rank=2), device="cpu")


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"one that is there \(.*cpu\); it is 'cuda'"):
        resolve_device("cuda")


def test_a_peft_method_without_peft_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(methods_module, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"peft-lora needs peft; .* pip install peft"):
        Method("peft-lora")


def test_running_out_of_memory_names_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    run = fine_tune("planted-blocks", "localized", steps=5, device="cpu")
    next(run)

    def exhausted(step: int) -> float:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(run, "_train", exhausted)
    with pytest.raises(MemoryError, match="cpu ran out of memory at step 1"):
        next(run)
    assert len(run.records) == 1


def test_the_rate_warms_up_and_falls() -> None:
    factors = [loop_module._schedule(step, 100) for step in range(1, 101)]
    assert factors[4] == max(factors) == 1
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert all(a > b > 0 for a, b in pairwise(factors[4:]))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("method", PRESENT)
@pytest.mark.parametrize("task", ["digits-transformer", "planted-blocks"])
def test_trains_on_cuda(task: str, method: str) -> None:
    run = fine_tune(task, method, steps=5, device="cuda")
    records = list(run)
    assert all(math.isfinite(record.train_loss or 0) for record in records)
    trained = [*run.parameters, *run.deltas().values()]
    assert {(tensor.device.type, tensor.dtype) for tensor in trained} == {("cuda", torch.float32)}
    assert records[-1].memory_bytes > 0
