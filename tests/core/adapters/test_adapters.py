"""The common checks over every family, shape, start and dtype, and adapters among torch's tools."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from lolora_core.adapters import (
    AdapterConfig,
    AdapterLinear,
    adapter_layers,
    adapter_parameters,
    add_adapters,
    full_gradients,
    gradient_rank_maps,
    layer,
    num_adapter_parameters,
)
from lolora_core.adapters.products import block_products
from tests.adapter_checks import (
    CASES,
    CHECKS,
    DTYPES,
    Case,
    adapted,
    assert_close,
    bare,
    inputs,
    squares,
)

SOME = [case for case in CASES if case.shape in ((23, 31), (20, 21), (31, 18))]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_common(check: Callable[[Case, torch.dtype, str], None], dtype: torch.dtype) -> None:
    for case in CASES:
        try:
            check(case, dtype, "cpu")
        except AssertionError as error:
            raise AssertionError(f"{case}: {error}") from error


@pytest.mark.cuda
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_common_on_cuda(
    check: Callable[[Case, torch.dtype, str], None], dtype: torch.dtype
) -> None:
    for case in CASES:
        check(case, dtype, "cuda")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_runs_on_meta(case: Case) -> None:
    if case.config.family in ("adaptive", "hybrid") and case.config.rank_map is None:
        with pytest.raises(ValueError, match="meta device"):
            adapted(case, torch.float32, "meta")
        return
    net = adapted(case, torch.float32, "meta")
    out = net(inputs(case, torch.float32, "meta"))
    out.sum().backward()
    assert out.is_meta
    assert all(p.grad is not None and p.grad.is_meta for p in adapter_parameters(net))
    assert net.layer.delta().shape == case.shape
    assert num_adapter_parameters(net) == num_adapter_parameters(adapted(case, torch.float32))


@pytest.mark.parametrize("case", [c for c in SOME if c.name in ("own", "hybrid")], ids=str)
def test_compiled_graph_is_whole_and_equal(case: Case) -> None:
    net, x = adapted(case, torch.float64, train=True), inputs(case, torch.float64)
    wanted = net(x)
    wanted.square().sum().backward()
    grads = [p.grad for p in adapter_parameters(net)]
    net.zero_grad()
    torch._dynamo.reset()
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
    found = compiled(x)
    found.square().sum().backward()
    torch.testing.assert_close(found, wanted)
    for p, grad in zip(adapter_parameters(net), grads, strict=True):
        torch.testing.assert_close(p.grad, grad)


@pytest.mark.parametrize("case", SOME, ids=str)
def test_handwritten_backward_equals_autograd(case: Case) -> None:
    net = adapted(case, torch.float64, train=True)
    x = inputs(case, torch.float64).requires_grad_()
    for term in net.layer.block_terms:
        given = [x, *term.A, *term.B]
        onto = torch.zeros(len(x), case.shape[0], dtype=x.dtype)
        upstream = torch.randn(onto.shape, dtype=x.dtype)
        b = [piece * term.scaling for piece in term.B]
        plain = block_products(x, term.layout, term.gather, list(term.A), b)
        wanted = torch.autograd.grad(plain, given, upstream)
        fast = term(x, onto.clone())
        torch.testing.assert_close(fast, plain)
        torch.testing.assert_close(term(x), plain)
        for found, grad in zip(torch.autograd.grad(fast, given, upstream), wanted, strict=True):
            torch.testing.assert_close(found, grad)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_one_step_with_the_base_equals_two(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    net, x = adapted(case, torch.float64, train=True), inputs(case, torch.float64)
    given = [x.requires_grad_(), *net.layer.parameters()]
    given = [tensor for tensor in given if tensor.requires_grad]
    upstream = torch.randn(len(x), case.shape[0], dtype=x.dtype)
    steps: list[int] = []
    original = layer.fast_linear_with_products

    def counted(*args: Any) -> torch.Tensor:
        steps.append(1)
        return original(*args)

    monkeypatch.setattr(layer, "fast_linear_with_products", counted)
    one = net.layer(x)
    grads = torch.autograd.grad(one, given, upstream)
    assert len(steps) == 1
    monkeypatch.setattr(AdapterLinear, "_one_step", lambda *_: False)
    two = net.layer(x)
    assert len(steps) == 1
    assert_close(one, two, torch.float64)
    for mine, other in zip(grads, torch.autograd.grad(two, given, upstream), strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("case", SOME, ids=str)
def test_checkpointing_gives_the_same_gradients(case: Case) -> None:
    net, x = adapted(case, torch.float64, train=True), inputs(case, torch.float64)
    found = []
    for forward in (net, lambda x: checkpoint(net, x, use_reentrant=False)):
        net.zero_grad()
        forward(x).square().sum().backward()
        found.append([p.grad for p in adapter_parameters(net)])
    for plain, again in zip(*found, strict=True):
        assert plain is not None
        assert again is not None
        assert torch.equal(plain, again)


@pytest.mark.parametrize("case", SOME, ids=str)
def test_autocast_runs_in_bfloat16(case: Case) -> None:
    net, x = adapted(case, torch.float32, train=True), inputs(case, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = net.layer(x)
        loss = out.float().square().sum()
    loss.backward()
    assert out.dtype == torch.bfloat16
    assert_close(out, net.layer(x), torch.bfloat16)
    assert all(p.grad is not None and p.grad.dtype == p.dtype for p in adapter_parameters(net))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_factors_of_a_half_precision_base_are_float32(dtype: torch.dtype) -> None:
    net = adapted(CASES[0], dtype)
    assert {p.dtype for p in adapter_parameters(net)} == {torch.float32}


def test_dropout_acts_in_training_only() -> None:
    model = nn.Sequential(nn.Linear(64, 64))
    add_adapters(model, AdapterConfig(rank=8, grid=4, dropout=0.5))
    layer = model[0]
    assert isinstance(layer, AdapterLinear)
    with torch.no_grad():
        for p in adapter_parameters(model):
            nn.init.ones_(p)
    x = torch.ones(256, 64)
    update = (layer(x) - layer.base(x)).detach()
    expected = 16 / 8 * 8 / 4 * 64
    assert float(update.std()) > 1
    assert abs(float(update.mean()) / expected - 1) < 0.05
    model.eval()
    update = (layer(x) - layer.base(x)).detach()
    torch.testing.assert_close(update, torch.full((256, 64), expected))


def test_a_hook_on_the_base_keeps_what_the_base_returned() -> None:
    model = nn.Sequential(nn.Linear(8, 8))
    seen: list[torch.Tensor] = []
    base = nn.Linear(8, 8)
    model[0] = base
    base.register_forward_hook(lambda module, args, output: seen.append(output))
    add_adapters(model, AdapterConfig(rank=2, grid=2))
    with torch.no_grad():
        for p in adapter_parameters(model):
            nn.init.ones_(p)
    x = torch.randn(3, 8)
    out = model(x)
    torch.testing.assert_close(seen[0], nn.functional.linear(x, base.weight, base.bias))
    assert not torch.allclose(out, seen[0])


def test_code_that_reads_the_weight_sees_the_update() -> None:
    # In evaluation torch's encoder layer takes a fused way that reads the weights.
    torch.manual_seed(0)
    encoder = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
    add_adapters(encoder, AdapterConfig(rank=4, grid=2))
    assert list(adapter_layers(encoder)) == ["self_attn.out_proj", "linear1", "linear2"]
    x = torch.randn(2, 6, 32)
    encoder.eval()
    plain = encoder(x)
    with torch.no_grad():
        for p in adapter_parameters(encoder):
            nn.init.normal_(p, std=0.3)
    slow = encoder(x)
    slow.sum().backward()
    with torch.no_grad():
        torch.testing.assert_close(encoder(x), slow.detach(), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(plain, slow, atol=0.1)
    assert all(p.grad is not None for p in adapter_parameters(encoder))


def test_a_layer_at_two_names_gets_one_adapter() -> None:
    shared = nn.Linear(8, 8)
    model = nn.ModuleDict({"one": shared, "two": shared})
    add_adapters(model, AdapterConfig(rank=2, grid=2))
    assert model["one"] is model["two"]
    assert len(adapter_layers(model)) == 1


def test_full_gradients_are_those_of_the_mean_loss_and_leave_no_trace() -> None:
    case = CASES[0]
    net, x = bare(case, torch.float64), inputs(case, torch.float64)
    net.last.weight.requires_grad_(False)
    config = AdapterConfig(family="adaptive", rank=4, grid=4, init="gradient")
    found = full_gradients(net, squares, [x[:3], x[3:]], config)
    assert set(found) == {"first", "last"}
    assert all(p.grad is None for p in net.parameters())
    assert not net.last.weight.requires_grad
    weight = net.first.weight
    assert isinstance(weight, torch.Tensor)
    (wanted,) = torch.autograd.grad(squares(net, x) / 2, weight)
    torch.testing.assert_close(found["first"], wanted)


def test_gradient_ranks_go_where_the_gradient_is() -> None:
    model = nn.Sequential(nn.Linear(16, 8, bias=False))
    config = AdapterConfig(family="adaptive", rank=2, grid=(2, 4), init="gradient")
    x = torch.zeros(32, 16)
    x[:, 4:8] = torch.randn(32, 4)
    target = torch.zeros(32, 8)

    def loss(module: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        return (module(batch) - target)[:, 4:].square().sum()

    ranks = gradient_rank_maps(model, loss, [x], config)["0"]
    assert ranks[1, 1] == 4
    assert ranks.sum() == 4
    add_adapters(model, AdapterConfig(family="adaptive", rank=2, grid=(2, 4), rank_map=ranks))
    (layer,) = adapter_layers(model).values()
    np.testing.assert_array_equal(layer.block_terms[0].layout.rank_map, ranks)
