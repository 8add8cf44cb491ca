"""Device and mixed precision reach every method, those of PEFT too, on a machine without a GPU."""

from __future__ import annotations

import math
from importlib.util import find_spec

import pytest
import torch

from lolora_core.training import METHODS, Method, Record, Run, fine_tune, resolve_task

PRESENT = [name for name, kind in METHODS.items() if not kind.package or find_spec(kind.package)]
#: They look at values before the first step, and the meta device has none.
READ_VALUES = {"adaptive", "hybrid", "peft-pissa", "peft-olora", "peft-waveft", "peft-shira"}


def two_steps(method: str, *, mixed: bool) -> tuple[Run, list[Record]]:
    run = fine_tune("digits-transformer", method, steps=2, device="cpu")
    # As on CUDA.
    run._precision = torch.autocast("cpu", torch.bfloat16, enabled=mixed)
    return run, list(run)


@pytest.mark.parametrize("method", PRESENT)
def test_every_method_trains_in_mixed_precision(method: str) -> None:
    _, exact = two_steps(method, mixed=False)
    run, records = two_steps(method, mixed=True)
    losses = [record.train_loss for record in records[1:]]
    assert all(loss is not None and math.isfinite(loss) for loss in losses)
    assert losses == pytest.approx([record.train_loss for record in exact[1:]], rel=0.05)
    # Products were rounded; what is trained, and ΔW, is not.
    assert losses != [record.train_loss for record in exact[1:]]
    assert {p.dtype for p in run.parameters} | {d.dtype for d in run.deltas().values()} == {
        torch.float32
    }
    # Evaluations stay in float32, so that methods compare.
    assert records[0].eval_loss == exact[0].eval_loss
    assert any(delta.any() for delta in run.deltas().values()) == (method != "frozen")


@pytest.mark.parametrize("method", [name for name in PRESENT if name not in READ_VALUES])
def test_the_device_of_the_base_is_that_of_every_method(method: str) -> None:
    problem = resolve_task("digits-transformer").build(0).to(torch.device("meta"))
    attached = Method(method).attach(problem, 0)
    inputs, targets = problem.splits["train"]
    outputs = attached.model(inputs[:4])
    problem.loss(outputs, targets[:4]).backward()
    gradients = [p.grad for p in attached.parameters if p.grad is not None]
    found = [*attached.parameters, *attached.deltas().values(), outputs, *gradients]
    assert gradients
    assert {tensor.device.type for tensor in found} == {"meta"}
