"""Intruder dimensions, with PEFT's own reduction of them as the judge."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora.intruders import reduce_intruder_dimension
from torch import Tensor, nn

from lolora_core.checkpoints.intruders import Intruders, count_intruders


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def counted(base: Tensor, update: Tensor, first: int, name: str = "a") -> Intruders:
    values = torch.linalg.svdvals(update).double().numpy()
    return count_intruders(base, update, values, first, name=name)


def by_definition(base: Tensor, tuned: Tensor, first: int) -> int:
    before, after = (
        np.linalg.svd(x.double().numpy(), full_matrices=False)[0] for x in (base, tuned)
    )
    return int((np.abs(after[:, :first].T @ before).max(axis=1) < 0.5).sum())


@pytest.mark.parametrize("shape", [(120, 80), (80, 120), (64, 64)])
@pytest.mark.parametrize("size", [0.01, 0.3, 3.0])
def test_the_count_is_the_definition(shape: tuple[int, int], size: float) -> None:
    base = draw(*shape)
    update = size * draw(shape[0], 6, seed=1) @ draw(6, shape[1], seed=2)
    for first in (1, 10, 200):
        assert counted(base, update, first).found == by_definition(base, base + update, first)


@pytest.mark.parametrize("scale", [0.05, 0.3, 1.0])
def test_peft_finds_as_many(scale: float) -> None:
    torch.manual_seed(3)
    linears = nn.Linear(48, 64), nn.Linear(64, 40)
    model = nn.Sequential(*linears)
    before = {str(at): layer.weight.detach().clone() for at, layer in enumerate(linears)}
    settings = LoraConfig(r=6, lora_alpha=6, target_modules=["0", "1"], init_lora_weights=False)
    wrapped: Any = get_peft_model(model, settings)
    with torch.no_grad():
        for name, value in wrapped.named_parameters():
            if "lora_B" in name:
                value.mul_(scale)
    layers = {name: wrapped.base_model.model.get_submodule(name) for name in before}
    updates = {name: layer.get_delta_weight("default").detach() for name, layer in layers.items()}
    said: list[str] = []
    reduce_intruder_dimension(wrapped, logging_sink=said.append)
    theirs = [int(m[1]) if (m := re.search(r"Intruders: (\d+)", s)) else 0 for s in said[:2]]
    assert [counted(before[name], updates[name], 10).found for name in before] == theirs
    if scale == 1.0:
        assert min(theirs) > 0


def test_directions_of_the_base_are_no_intruders_and_random_ones_are() -> None:
    base = draw(200, 160)
    left, _, right = torch.linalg.svd(base, full_matrices=False)
    update = 40 * left[:, 20:25] @ right[20:25]
    found = counted(base, update, 10)
    assert (found.found, found.random) == (0, 5)


def test_random_directions_are_those_of_the_name() -> None:
    base, update = draw(40, 40), 1.2 * draw(40, 8, seed=1) @ draw(8, 40, seed=2) / 3
    found = {name: {counted(base, update, 20, name) for _ in range(2)} for name in "abcdefgh"}
    assert all(len(answers) == 1 for answers in found.values())
    assert len({next(iter(answers)).random for answers in found.values()}) > 1
    assert len({next(iter(answers)).found for answers in found.values()}) == 1


def test_nothing_changed_is_no_intruder_though_directions_tie() -> None:
    assert counted(torch.eye(64), torch.zeros(64, 64), 10) == (0, 0)
