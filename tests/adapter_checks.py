"""Checks that every adapter passes, for any family, shape, grid, start and dtype."""

from __future__ import annotations

import copy
import itertools
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lolora_core.adapters import (
    AdapterConfig,
    AdapterLinear,
    BlockFactors,
    adapter_config,
    adapter_delta,
    adapter_parameters,
    add_adapters,
    full_gradients,
    load_adapters,
    merge_adapters,
    num_adapter_parameters,
    remove_adapters,
    save_adapters,
    unmerge_adapters,
)

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
HALF = (torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class Case:
    """One adapter on one (out_features, in_features) weight."""

    name: str
    shape: tuple[int, int]
    settings: dict[str, Any] = field(hash=False)
    bias: bool = True

    def __str__(self) -> str:
        return f"{self.name}-{self.shape[0]}x{self.shape[1]}"

    @property
    def config(self) -> AdapterConfig:
        return AdapterConfig(**{"alpha": 12, "target_modules": ["first"], **self.settings})


def _uneven(rows: int, cols: int) -> list[list[int]]:
    """Ranks 0…2 with an empty block row and an empty block column where there is room."""
    ranks = np.random.default_rng(3).integers(0, 3, (rows, cols))
    ranks[0, 0] = 2
    if rows > 2 and cols > 2:
        ranks[1], ranks[:, -1] = 0, 0
    return ranks.tolist()


def _cases() -> list[Case]:
    shapes = [(24, 24), (40, 16), (16, 40), (23, 31)]
    kinds: dict[str, dict[str, Any]] = {
        "global": {"family": "global", "rank": 4},
        "diagonal": {"family": "diagonal", "rank": 3, "grid": 4},
        "localized": {"family": "localized", "rank": 8, "grid": 4},
        "localized-svd": {"family": "localized", "rank": 8, "grid": 4, "init": "svd"},
        "own": {"family": "adaptive", "rank": 4, "grid": 4, "rank_map": _uneven(4, 4)},
        "adaptive-svd": {"family": "adaptive", "rank": 5, "grid": 4, "init": "svd"},
        "adaptive-gradient": {"family": "adaptive", "rank": 5, "grid": 4, "init": "gradient"},
        "hybrid": {
            "family": "hybrid",
            "rank": 9,
            "grid": 4,
            "global_rank": 3,
            "rank_map": _uneven(4, 4),
        },
        "hybrid-svd": {"family": "hybrid", "rank": 9, "grid": 4, "init": "svd"},
        "hybrid-gradient": {"family": "hybrid", "rank": 9, "grid": 4, "init": "gradient"},
    }
    found = [Case(name, shape, kind) for name, kind in kinds.items() for shape in shapes]
    rect = {"family": "localized", "rank": 8, "grid": (3, 5)}
    edges = {"family": "localized", "rank": 7, "grid": ((0, 3, 8, 13, 20), (0, 9, 12, 21))}
    return [
        *found,
        Case("rectangular", (31, 18), rect, bias=False),
        Case("edges", (20, 21), edges, bias=False),
        Case("wide-grid", (3, 20), {"family": "localized", "rank": 3, "grid": (1, 10)}),
        Case("one-output", (1, 7), {"family": "localized", "rank": 1, "grid": 1}),
    ]


CASES = _cases()


class Net(nn.Module):
    """The layer under test, and one behind it that stays as it is."""

    def __init__(self, shape: tuple[int, int], bias: bool) -> None:
        super().__init__()
        m, n = shape
        self.first: nn.Module = nn.Linear(n, m, bias=bias)
        self.last = nn.Linear(m, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(x)))

    @property
    def layer(self) -> AdapterLinear:
        assert isinstance(self.first, AdapterLinear)
        return self.first


def bare(case: Case, dtype: torch.dtype, device: str = "cpu", seed: int = 0) -> Net:
    torch.manual_seed(seed)
    net = Net(case.shape, case.bias).to(dtype)
    return net.to(device)


def inputs(case: Case, dtype: torch.dtype, device: str = "cpu") -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(6, case.shape[1], generator=generator).to(device, dtype)


def squares(net: nn.Module, x: Tensor) -> Tensor:
    return net(x).float().square().sum()


def built(case: Case, dtype: torch.dtype, device: str = "cpu") -> Net:
    """A net with the adapter at its start."""
    net = bare(case, dtype, device)
    gradients = None
    if case.config.init == "gradient":
        gradients = full_gradients(net, squares, [inputs(case, dtype, device)], case.config)
    add_adapters(net, case.config, gradients=gradients)
    return net


#: The starts that search for their ranks take long, and many checks begin there.
_kept = cache(built)


def shaken(net: Net) -> None:
    """Make the factors random, as after training."""
    with torch.no_grad():
        for piece in adapter_parameters(net):
            piece.add_(torch.randn(piece.shape).to(piece) * 0.1)


def adapted(case: Case, dtype: torch.dtype, device: str = "cpu", *, train: bool = False) -> Net:
    """A net with the adapter at its start, or as after training."""
    net = copy.deepcopy(_kept(case, dtype, device))
    torch.manual_seed(0)
    if train:
        shaken(net)
    return net


def dense_of(term: BlockFactors) -> Tensor:
    """ΔW block by block, in float64."""
    grid = term.layout.grid
    out = torch.zeros(grid.shape, dtype=torch.float64, device=term.A[0].device)
    for (i, j), (left, right) in term.factors().items():
        assert left.shape == (grid.row_sizes[i], term.layout.rank_map[i, j])
        assert right.shape == (term.layout.rank_map[i, j], grid.col_sizes[j])
        out[grid.block(i, j)] = left.double() @ right.double()
    return out * term.scaling


def update_of(net: Net) -> Tensor:
    return torch.stack([dense_of(term) for term in net.layer.block_terms]).sum(0)


def assert_close(found: Tensor, wanted: Tensor, dtype: torch.dtype) -> None:
    """Relative in the Frobenius norm; each product rounds a few times."""
    exact = wanted.detach().double()
    error = (found.detach().double() - exact).norm() / exact.norm()
    assert float(error) <= 8 * torch.finfo(dtype).eps


def check_packed_equals_dense(case: Case, dtype: torch.dtype, device: str) -> None:
    net, x = adapted(case, dtype, device, train=True), inputs(case, dtype, device)
    weight = net.layer.base.weight.double() + update_of(net)
    bias = None if net.layer.bias is None else net.layer.bias.double()
    wanted = nn.functional.linear(x.double(), weight, bias)
    assert net.layer(x).dtype == dtype
    assert_close(net.layer(x), wanted, dtype)
    assert_close(net.layer.weight, weight, dtype)


def check_start_changes_nothing(case: Case, dtype: torch.dtype, device: str) -> None:
    before, net, x = (
        bare(case, dtype, device),
        adapted(case, dtype, device),
        inputs(case, dtype, device),
    )
    if case.config.init == "svd":
        assert_close(net(x), before(x), dtype)
        assert net.layer.block_terms[0].B[0].any()
    else:
        assert torch.equal(net(x), before(x))
        for term in net.layer.block_terms:
            assert not any(piece.any() for piece in term.B)
            for piece in term.A:
                bound = 1 / math.sqrt(piece.shape[1])
                assert 0.5 * bound < float(piece.detach().abs().max()) <= bound or len(piece) < 3


def check_only_the_adapter_learns(case: Case, dtype: torch.dtype, device: str) -> None:
    net, x = adapted(case, dtype, device, train=True), inputs(case, dtype, device)
    held = {id(p) for p in adapter_parameters(net)}
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    squares(net, x).backward()
    torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1).step()
    for name, p in net.named_parameters():
        assert (p.grad is not None) == p.requires_grad == (id(p) in held)
        assert torch.equal(p, before[name]) != (id(p) in held), name


def check_merge_equals_forward(case: Case, dtype: torch.dtype, device: str) -> None:
    net, x = adapted(case, dtype, device, train=True), inputs(case, dtype, device)
    before, wanted = net.layer.base.weight.detach().clone(), net.layer(x)
    delta = adapter_delta(net)["first"]
    merge_adapters(net)
    assert net.layer.merged
    assert not torch.equal(net.layer.base.weight, before)
    # The merged weight is rounded to the dtype once more than the two products are.
    assert_close(net.layer(x), wanted, dtype)
    assert torch.equal(adapter_delta(net)["first"], delta)
    unmerge_adapters(net)
    assert torch.equal(net.layer.base.weight, before)
    assert torch.equal(net.layer(x), wanted)


def check_delta_is_the_change(case: Case, dtype: torch.dtype, device: str) -> None:
    net, pretrained = adapted(case, dtype, device, train=True), bare(case, dtype, device).first
    assert isinstance(pretrained, nn.Linear)
    now = net.layer.base.weight.double() + update_of(net)
    delta = net.layer.delta()
    assert delta.dtype == net.layer.block_terms[0].A[0].dtype
    scale = now.norm() * 8 * torch.finfo(delta.dtype).eps
    assert (delta.double() - (now - pretrained.weight.double())).norm() <= scale
    fresh = adapted(case, dtype, device).layer.delta().double()
    assert fresh.norm() <= now.norm() * torch.finfo(dtype).eps


def check_remove_restores_the_base(case: Case, dtype: torch.dtype, device: str) -> None:
    before, start = bare(case, dtype, device), bare(case, dtype, device)
    start.last.weight.requires_grad_(False)
    gradients = None
    if case.config.init == "gradient":
        gradients = full_gradients(start, squares, [inputs(case, dtype, device)], case.config)
    add_adapters(start, case.config, gradients=gradients)
    for merged in (False, True):
        net = copy.deepcopy(start)
        if merged:
            merge_adapters(net)
        remove_adapters(net)
        assert type(net.first) is nn.Linear
        for (name, p), q in zip(net.named_parameters(), before.parameters(), strict=True):
            assert torch.equal(p, q)
            assert p.requires_grad == (name != "last.weight")


def check_save_and_load(case: Case, dtype: torch.dtype, device: str) -> None:
    net, x = adapted(case, dtype, device, train=True), inputs(case, dtype, device)
    other = bare(case, dtype, device)
    with tempfile.TemporaryDirectory() as folder:
        save_adapters(net, folder)
        load_adapters(other, folder)
    assert adapter_config(other) == adapter_config(net)
    assert torch.equal(other(x), net(x))
    assert torch.equal(adapter_delta(other)["first"], adapter_delta(net)["first"])
    assert {n for n, p in other.named_parameters() if p.requires_grad} == {
        n for n, p in net.named_parameters() if p.requires_grad
    }


def check_state_dict_and_deepcopy(case: Case, dtype: torch.dtype, device: str) -> None:
    # Not a copy already.
    net, x = built(case, dtype, device), inputs(case, dtype, device)
    shaken(net)
    twin = copy.deepcopy(net)
    assert torch.equal(twin(x), net(x))
    other = adapted(case, dtype, device)
    other.load_state_dict(net.state_dict())
    assert torch.equal(other(x), net(x))
    next(adapter_parameters(twin)).data.zero_()
    assert not torch.equal(twin(x), net(x))


def check_one_block_is_plain_lora(case: Case, dtype: torch.dtype, device: str) -> None:
    if case.config.family == "hybrid" or case.config.init != "zero":
        return
    own = [[min(2, *case.shape)]] if case.config.rank_map else None
    one = replace(case, settings={**case.settings, "grid": 1, "rank_map": own})
    net, x = adapted(one, dtype, device, train=True), inputs(case, dtype, device)
    (term,) = net.layer.block_terms
    (a,), (b,) = (list(pieces) for pieces in (term.A, term.B))
    rank = own[0][0] if own else case.config.rank
    assert a.shape == (rank, case.shape[1])
    assert b.shape == (rank, case.shape[0])
    low = nn.functional.linear(x.double(), a.double())
    update = nn.functional.linear(low, b.double().T) * (12 / case.config.rank)
    assert_close(net.layer(x), net.layer.base(x).double() + update, dtype)


def check_parameter_count(case: Case, dtype: torch.dtype, device: str) -> None:
    net = adapted(case, dtype, device)
    (m, n), config = case.shape, case.config
    wanted = 0
    for term in net.layer.block_terms:
        grid, ranks = term.layout.grid, term.layout.rank_map
        for i, j in itertools.product(*map(range, grid.blocks)):
            h = grid.row_edges[i + 1] - grid.row_edges[i]
            w = grid.col_edges[j + 1] - grid.col_edges[j]
            wanted += int(ranks[i, j]) * (h + w)
    held = sum(p.numel() for p in adapter_parameters(net))
    assert held == num_adapter_parameters(net) == wanted
    if config.rank_map is None:
        assert held <= config.rank * (m + n)
    if config.family == "localized":
        rows, cols = net.layer.block_terms[0].layout.grid.blocks
        each = config.rank * (m + n) // (cols * m + rows * n)
        assert held == each * (cols * m + rows * n)
    if config.family in ("global", "diagonal"):
        assert held == config.rank * (m + n)


def check_gradients_against_finite_differences(case: Case, dtype: torch.dtype, device: str) -> None:
    if dtype != torch.float64:
        return
    net = adapted(case, dtype, device, train=True)
    pieces = list(adapter_parameters(net))
    x = inputs(case, dtype, device)[:2].requires_grad_()
    # gradcheck moves the parameters themselves, so the call need not take them.
    assert torch.autograd.gradcheck(lambda x, *_: net.layer(x), (x, *pieces), fast_mode=True)


def check_leading_dimensions(case: Case, dtype: torch.dtype, device: str) -> None:
    net, x = adapted(case, dtype, device, train=True), inputs(case, dtype, device)
    wanted = net.layer(x)
    n, m = x.shape[1], wanted.shape[1]
    for lead in ((2, 3), (1, 2, 1, 3), (3, 1, 2)):
        assert_close(net.layer(x.reshape(*lead, n)), wanted.reshape(*lead, m), dtype)
    assert_close(net.layer(x[0]), wanted[0], dtype)
    assert net.layer(x[:0]).shape == (0, m)
    assert_close(net.layer(x.T.contiguous().T), wanted, dtype)


CHECKS: list[Callable[[Case, torch.dtype, str], None]] = [
    check_packed_equals_dense,
    check_start_changes_nothing,
    check_only_the_adapter_learns,
    check_merge_equals_forward,
    check_delta_is_the_change,
    check_remove_restores_the_base,
    check_save_and_load,
    check_state_dict_and_deepcopy,
    check_one_block_is_plain_lora,
    check_parameter_count,
    check_gradients_against_finite_differences,
    check_leading_dimensions,
]
