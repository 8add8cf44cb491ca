"""PEFT's methods: the largest size that fits a budget, and ΔW as PEFT itself merges it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

pytest.importorskip("peft")

from lolora_core.training import METHODS, Method, fine_tune, optimum
from lolora_core.training.peft_methods import PEFT_METHODS, _count, attach_peft, fitted

#: [out, in]; all sides are even, so that every method has sizes.
SHAPES = ((48, 32), (32, 32))
BUDGETS = [4 * 144, 12 * 144]


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.ModuleDict({f"m{at}": nn.Linear(n, m) for at, (m, n) in enumerate(SHAPES)})


def weights_of(base: nn.Module) -> dict[str, torch.Tensor]:
    return {name.removesuffix(".weight"): p for name, p in base.named_parameters() if p.ndim == 2}


def trained(name: str, size: int) -> int:
    base = model().requires_grad_(False)
    return sum(p.numel() for p in attach_peft(name, size, 4, base, weights_of(base))[0])


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("name", PEFT_METHODS)
def test_no_larger_size_fits(name: str, budget: int) -> None:
    found = fitted(name, budget, 4, SHAPES)
    assert found.num_parameters == trained(name, found.size) <= budget
    sizes = list(PEFT_METHODS[name].sizes(SHAPES, 4))
    larger = sizes[sizes.index(found.size) + 1 :]
    # The first larger one spends more than there is, or no more than this one.
    assert all(trained(name, s) > budget or trained(name, s) == found.num_parameters
               for s in larger[:1])  # fmt: skip


@pytest.mark.parametrize("name", PEFT_METHODS)
def test_delta_is_what_peft_merges(name: str) -> None:
    base = model().requires_grad_(False)
    before = {at: weight.detach().clone() for at, weight in weights_of(base).items()}
    size = fitted(name, BUDGETS[0], 4, SHAPES).size
    parameters, deltas = attach_peft(name, size, 4, base, weights_of(base))
    at_start = deltas()
    for at, weight in before.items():
        assert at_start[at].norm() <= 1e-5 * weight.norm()
    with torch.no_grad():
        for parameter in parameters:
            parameter.add_(0.05 * torch.randn_like(parameter))
    moved = deltas()
    for at, weight in before.items():
        layer = base.get_submodule(at)
        layer.merge()  # type: ignore[operator]
        merged = layer.get_base_layer().weight - weight  # type: ignore[operator]
        assert merged.norm() > 1e-4 * weight.norm()
        torch.testing.assert_close(moved[at], merged, rtol=1e-4, atol=1e-5)


def test_a_budget_too_small_is_said() -> None:
    with pytest.raises(ValueError, match=r"rank is too small for peft-gralora, which needs 320 "):
        fitted("peft-gralora", 300, 4, ((48, 32),))
    with pytest.raises(ValueError, match="grid of peft-bdlora must be one number"):
        fine_tune("planted-blocks", Method("peft-bdlora", grid=(2, 4)), device="cpu")


@pytest.mark.parametrize("name", ["peft-lora", "peft-pissa", "peft-randlora"])
def test_a_seed_repeats_whether_sizes_were_counted_before_or_not(name: str) -> None:
    def losses() -> list[float | None]:
        run = fine_tune("planted-blocks", Method(name, rank=8, grid=(2, 4)), steps=3, device="cpu")
        return [record.train_loss for record in run]

    fitted.cache_clear()
    _count.cache_clear()
    assert losses() == losses()


def test_the_run_says_size_and_share() -> None:
    run = fine_tune("planted-blocks", Method("peft-ia3", rank=8), steps=1, device="cpu")
    assert run.size == "its only size"
    assert run.share == run.num_parameters / (8 * 256)
    own = fine_tune("planted-blocks", Method("localized", rank=8), steps=1, device="cpu")
    assert own.size == ""
    assert own.share != own.share


def test_every_one_is_a_method_with_a_label_of_its_own() -> None:
    labels = [Method(name, rank=8).label for name in METHODS]
    assert len(set(labels)) == len(labels)
    assert Method("peft-bdlora", rank=8).label == "peft-bdlora r=8 K=4"
    assert Method("peft-oft", rank=8).label == "peft-oft r=8"
    assert optimum("planted-blocks", Method("peft-oft", rank=8)) is None
