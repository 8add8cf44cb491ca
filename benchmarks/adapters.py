"""The localized adapter against plain LoRA, PEFT's GraLoRA and a loop of K² small linear layers.

Forward and backward, float32, gradients of the input and of the factors. Every ratio compares
medians of calls that took turns in one run. With one thread the clock counts the thread's own
CPU time, so that other processes do not disturb it; with two it is wall time.

"update" is x·ΔWᵀ alone. "in a layer" is what comes on top of the base: from x and the base's
output to their sum.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import torch
from peft import GraloraConfig, inject_adapter_in_model
from torch import Tensor, nn

from benchmarks.timing import interleaved_medians
from lolora_core.adapters import AdapterConfig, AdapterLinear, add_adapters

WIDTHS = (384, 768, 1024)
RANKS = (16, 32)
TOKENS = (512, 2048)
GRIDS = (2, 4, 8, 16)
ROUNDS = 11


class PlainLora(nn.Module):
    """y = B·(A·x), two plain products (arXiv 2106.09685)."""

    def __init__(self, side: int, rank: int) -> None:
        super().__init__()
        self.a = nn.Linear(side, rank, bias=False)
        self.b = nn.Linear(rank, side, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the update of x."""
        return self.b(self.a(x))


class SmallLinears(nn.Module):
    """K² pairs of small linear layers in a loop, as the public implementation has it."""

    def __init__(self, side: int, rank: int, blocks: int) -> None:
        super().__init__()
        self.blocks = blocks
        small, each = side // blocks, rank // blocks
        self.a = nn.ModuleList(nn.Linear(small, each, bias=False) for _ in range(blocks**2))
        self.b = nn.ModuleList(nn.Linear(each, small, bias=False) for _ in range(blocks**2))

    def forward(self, x: Tensor) -> Tensor:
        """Return the update of x."""
        parts = x.chunk(self.blocks, dim=-1)
        rows = []
        for i in range(self.blocks):
            found = [
                self.b[i * self.blocks + j](self.a[i * self.blocks + j](parts[j]))
                for j in range(self.blocks)
            ]
            rows.append(sum(found[1:], start=found[0]))
        return torch.cat(rows, dim=-1)


def localized(side: int, rank: int, blocks: int) -> AdapterLinear:
    """Return a frozen linear layer with our adapter, its factors all random."""
    model = nn.Sequential(nn.Linear(side, side))
    add_adapters(model, AdapterConfig(family="localized", rank=rank, grid=blocks))
    layer = model[0]
    assert isinstance(layer, AdapterLinear)
    for term in layer.block_terms:
        for piece in term.B:
            nn.init.normal_(piece)
    return layer


def gralora(side: int, rank: int, blocks: int) -> nn.Module:
    """Return a frozen linear layer with PEFT's GraLoRA, its factors all random."""
    config = GraloraConfig(
        r=rank, gralora_k=blocks, alpha=16, target_modules=["0"], init_weights=False
    )
    model = nn.Sequential(nn.Linear(side, side))
    inject_adapter_in_model(config, model)
    layer = model[0]
    assert isinstance(layer, nn.Module)
    return layer


def _step(forward: Callable[[Tensor], Tensor], tokens: int, side: int) -> Callable[[], None]:
    x = torch.randn(tokens, side, requires_grad=True)
    upstream = torch.randn(tokens, side)

    def step() -> None:
        x.grad = None
        forward(x).backward(upstream)

    return step


def _update(layer: AdapterLinear) -> Callable[[Tensor], Tensor]:
    (term,) = layer.block_terms
    return term


def _onto(layer: AdapterLinear, output: Tensor) -> Callable[[Tensor], Tensor]:
    (term,) = layer.block_terms
    return lambda x: term(x, output.detach())


def _added(module: nn.Module, output: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda x: output.detach().add_(module(x))


def matmul_rate() -> float:
    """Return the floating-point operations a second of one large matrix product."""
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    clock = _clock()
    seconds = interleaved_medians({"matmul": lambda: a @ b}, 5, clock)["matmul"]
    return 2 * 2048**3 / seconds


def _clock() -> Callable[[], float]:
    return time.thread_time if torch.get_num_threads() == 1 else time.perf_counter


def one_case(side: int, rank: int, tokens: int, rate: float) -> dict[str, Any]:
    """Compare all grids at one width, rank and number of tokens."""
    lora, output = PlainLora(side, rank), torch.zeros(tokens, side)
    forwards: dict[str, Callable[[Tensor], Tensor]] = {
        "lora update": lora,
        "lora in a layer": _added(lora, output),
    }
    for blocks in GRIDS:
        layer = localized(side, rank, blocks)
        forwards |= {
            f"update {blocks}": _update(layer),
            f"in a layer {blocks}": _onto(layer, output),
            f"layer {blocks}": layer,
            f"gralora {blocks}": gralora(side, rank, blocks),
            f"loop {blocks}": _added(SmallLinears(side, rank, blocks), output),
        }
    calls = {name: _step(forward, tokens, side) for name, forward in forwards.items()}
    seconds = interleaved_medians(calls, ROUNDS, _clock())
    # Two products forward and four backward, two operations for each multiplication.
    flops = 3 * 2 * tokens * rank * (side + side)
    found: dict[str, Any] = {
        "GFLOP": flops / 1e9,
        "plain LoRA in a layer, share of the matmul rate": flops
        / seconds["lora in a layer"]
        / rate,
    }
    for blocks in GRIDS:
        mine = seconds[f"in a layer {blocks}"]
        found[f"K={blocks}"] = {
            "update / plain LoRA": seconds[f"update {blocks}"] / seconds["lora update"],
            "in a layer / plain LoRA": mine / seconds["lora in a layer"],
            "with base / PEFT GraLoRA with base": seconds[f"layer {blocks}"]
            / seconds[f"gralora {blocks}"],
            "loop of K² linears in a layer / ours": seconds[f"loop {blocks}"] / mine,
            "in a layer, share of the matmul rate": flops / mine / rate,
        }
    return found


def peak_bytes(call: Callable[[], object]) -> int:
    """Return the most memory that a call held beyond what there was before, in bytes."""
    call()
    cpu = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=cpu, profile_memory=True) as profile:
        result = call()
    assert profile.profiler is not None
    # The table of operations nets what each allocates and frees; these are the single events.
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    del result
    return peak


def memory(tokens: int = 512) -> dict[str, Any]:
    """Compare the forward's peak memory beyond input and base with plain LoRA's."""
    found: dict[str, Any] = {}
    for side, rank in itertools.product(WIDTHS, RANKS):
        x, output = torch.randn(tokens, side, requires_grad=True), torch.zeros(tokens, side)
        plain = _peak_of(PlainLora(side, rank), x)
        row: dict[str, float] = {"plain LoRA, MiB": plain / 2**20}
        for blocks in GRIDS:
            layer = localized(side, rank, blocks)
            row[f"K={blocks}, update / plain LoRA"] = _peak_of(_update(layer), x) / plain
            row[f"K={blocks}, in a layer / plain LoRA"] = _peak_of(_onto(layer, output), x) / plain
        found[f"d={side}, rank {rank}"] = row
    return found


def _peak_of(forward: Callable[[Tensor], Tensor], x: Tensor) -> int:
    return peak_bytes(lambda: forward(x))


def run(threads: tuple[int, ...] = (1, 2)) -> dict[str, Any]:
    """Run every case with one and two threads."""
    before = torch.get_num_threads()
    found: dict[str, Any] = {"peak memory of the forward": memory()}
    for count in threads:
        torch.set_num_threads(count)
        rate = matmul_rate()
        part: dict[str, Any] = {"matmul, GFLOP/s": rate / 1e9}
        for side, rank, tokens in itertools.product(WIDTHS, RANKS, TOKENS):
            part[f"d={side}, rank {rank}, {tokens} tokens"] = one_case(side, rank, tokens, rate)
        found[f"{count} threads" if count > 1 else "1 thread"] = part
    torch.set_num_threads(before)
    return found
