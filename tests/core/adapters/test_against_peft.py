"""Our adapters against PEFT's on the same factors: output, ΔW and gradients."""

from __future__ import annotations

from typing import Any

import peft
import pytest
import torch
from torch import Tensor, nn

from lolora_core.adapters import AdapterConfig, AdapterLinear, add_adapters


def pair(config: Any, ours: AdapterConfig, shape: tuple[int, int]) -> tuple[Any, AdapterLinear]:
    """The same frozen layer with PEFT's adapter and with ours."""
    torch.manual_seed(0)
    m, n = shape
    theirs, mine = nn.Sequential(nn.Linear(n, m).double()), nn.Sequential(nn.Linear(n, m).double())
    mine.load_state_dict(theirs.state_dict())
    peft.inject_adapter_in_model(config, theirs)
    # PEFT makes its factors in float32 whatever the base is.
    theirs.double()
    add_adapters(mine, ours)
    layer = mine[0]
    assert isinstance(layer, AdapterLinear)
    return theirs[0], layer


def same_output_and_input_gradient(theirs: Any, mine: AdapterLinear, n: int) -> None:
    x = torch.randn(2, 5, n, dtype=torch.float64)
    results = []
    for layer in (theirs, mine):
        given = x.clone().requires_grad_()
        out = layer(given)
        out.square().sum().backward()
        results.append((out, given.grad))
    for other, found in zip(*results, strict=True):
        torch.testing.assert_close(found, other)
    torch.testing.assert_close(mine.delta(), theirs.get_delta_weight("default"))


def gralora_block(a: Tensor, b: Tensor, i: int, j: int, rho: int) -> tuple[Tensor, Tensor]:
    """B_ij and A_ij of our block row i (outputs) and block column j (inputs) in GraLoRA's tensors.

    `gralora_A` is [K, in/K, r] and `gralora_B` [K, r, out/K].
    """
    right = a[j][:, i * rho : (i + 1) * rho].T
    left = b[i][j * rho : (j + 1) * rho].T
    return left, right


@pytest.mark.parametrize(
    ("shape", "k", "rank"), [((24, 24), 4, 8), ((40, 16), 4, 4), ((16, 48), 8, 16), ((12, 8), 2, 6)]
)
def test_localized_is_gralora(shape: tuple[int, int], k: int, rank: int) -> None:
    config = peft.GraloraConfig(
        r=rank, gralora_k=k, alpha=24, target_modules=["0"], init_weights=False
    )
    ours = AdapterConfig(family="localized", rank=rank, grid=k, alpha=24)
    theirs, mine = pair(config, ours, shape)
    a, b = theirs.gralora_A["default"], theirs.gralora_B["default"]
    (term,) = mine.block_terms
    rho = rank // k
    assert (term.layout.rank_map == rho).all()
    term.set_factors({(i, j): gralora_block(a, b, i, j, rho) for i in range(k) for j in range(k)})
    same_output_and_input_gradient(theirs, mine, shape[1])
    assert a.grad is not None
    for (piece_a, rows_a), (piece_b, rows_b), (i, j) in (
        (at_a, at_b, block) for block, at_a, at_b in term.layout.blocks()
    ):
        left, right = gralora_block(a.grad, b.grad, i, j, rho)
        found_a, found_b = term.A[piece_a].grad, term.B[piece_b].grad
        assert found_a is not None
        assert found_b is not None
        torch.testing.assert_close(found_a[rows_a], right)
        torch.testing.assert_close(found_b[rows_b].T, left)


@pytest.mark.parametrize("shape", [(24, 24), (40, 16), (23, 31)])
def test_global_is_lora(shape: tuple[int, int]) -> None:
    config = peft.LoraConfig(r=5, lora_alpha=15, target_modules=["0"], init_lora_weights=False)
    ours = AdapterConfig(family="global", rank=5, alpha=15)
    theirs, mine = pair(config, ours, shape)
    a, b = theirs.lora_A["default"].weight, theirs.lora_B["default"].weight
    (term,) = mine.block_terms
    term.set_factors({(0, 0): (b, a)})
    same_output_and_input_gradient(theirs, mine, shape[1])
    (piece_a,), (piece_b,) = (list(pieces) for pieces in (term.A, term.B))
    torch.testing.assert_close(piece_a.grad, a.grad)
    assert piece_b.grad is not None
    torch.testing.assert_close(piece_b.grad.T, b.grad)
    # PEFT scales after the products, so B is equal as it stands.
    torch.testing.assert_close(piece_b.T, b)


def test_targets_are_those_that_peft_finds() -> None:
    def net() -> nn.Module:
        part = nn.ModuleDict({"query": nn.Linear(8, 8), "key": nn.Linear(8, 8)})
        return nn.ModuleDict(
            {"a": part, "b": nn.ModuleDict({"query": nn.Linear(8, 8)}), "head": nn.Linear(8, 2)}
        )

    for targets in (["query"], ["a.query", "key"], r"a\..*", r".*query", ["head", "query"]):
        model, other = net(), net()
        peft.inject_adapter_in_model(peft.LoraConfig(r=2, target_modules=targets), other)
        wanted = {name for name, part in other.named_modules() if hasattr(part, "lora_A")}
        chosen = targets if isinstance(targets, str) else tuple(targets)
        add_adapters(model, AdapterConfig(family="global", rank=2, target_modules=chosen))
        found = {name for name, part in model.named_modules() if isinstance(part, AdapterLinear)}
        assert found == wanted
