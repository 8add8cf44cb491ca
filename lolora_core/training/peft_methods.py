"""Methods of the PEFT package, each at the largest size that fits a budget.

What is called size differs: a rank, the side of a block, a number of coefficients. It is chosen by
counting what PEFT itself would train.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lolora_core.families.global_ import Global
from lolora_core.families.localized import Localized

if TYPE_CHECKING:
    from peft import PeftConfig

__all__ = ["PEFT_METHODS", "Fitted", "PeftMethod", "attach_peft", "fitted"]

#: (m, n) of each adapted matrix, stored [out, in].
Shapes = tuple[tuple[int, int], ...]
_Options = dict[str, Any]
#: VeRA keeps two random matrices with so many rows and columns at most.
_VERA_LARGEST = 1024


class PeftMethod(NamedTuple):
    """One line of the table.

    Attributes
    ----------
    summary, source : str
    config : str
        Name of the class in `peft`.
    options : callable
        ``(size, blocks, targets) -> keyword arguments`` of that class, the targets left out.
    sizes : callable
        ``(shapes, blocks) -> sizes`` that may be chosen, fewest parameters first.
    size_name : str
        What a size is; empty where there is but one.
    moves_base : bool
        Whether it takes part of W into its factors when it starts.
    shares : bool
        Whether all its layers share something, which PEFT then makes for a whole model only.
    family : str
        Whose structure ΔW has, where there is such a family.
    cut : bool
        Whether it has blocks.
    """

    summary: str
    source: str
    config: str
    options: Callable[[int, int, list[str]], _Options]
    sizes: Callable[[Shapes, int], Sequence[int]]
    size_name: str = "r"
    moves_base: bool = False
    shares: bool = False
    family: str = ""
    cut: bool = False


class Fitted(NamedTuple):
    """The size that a method has at a budget, and the parameters that PEFT then trains."""

    size: int
    num_parameters: int


def _ranks(shapes: Shapes, blocks: int) -> range:
    return range(1, min(m + n for m, n in shapes) + 1)


def _multiples(shapes: Shapes, blocks: int) -> range:
    return range(blocks, min(m + n for m, n in shapes) + 1, blocks)


def _input_ranks(shapes: Shapes, blocks: int) -> range:
    return range(1, min(n for _, n in shapes) + 1)


def _sparse_ranks(shapes: Shapes, blocks: int) -> range:
    return range(1, min(m * n // (m + n) for m, n in shapes) + 1)


def _vera_ranks(shapes: Shapes, blocks: int) -> range:
    return range(1, _VERA_LARGEST + 1)


def _falling_ranks(shapes: Shapes, blocks: int) -> range:
    return range(min(map(min, shapes)), 0, -1)


def _coefficients(shapes: Shapes, blocks: int) -> range:
    return range(1, min(m * n for m, n in shapes) + 1)


def _divisors(number: int) -> list[int]:
    return [d for d in range(1, number + 1) if number % d == 0]


def _input_blocks(shapes: Shapes, blocks: int) -> list[int]:
    return [d for d in _divisors(math.gcd(*(n for _, n in shapes))) if d > 1]


def _even_blocks(shapes: Shapes, blocks: int) -> list[int]:
    return [d for d in _input_blocks(shapes, blocks) if d % 2 == 0]


def _falling_blocks(shapes: Shapes, blocks: int) -> list[int]:
    return _divisors(math.gcd(*(side for shape in shapes for side in shape)))[::-1]


def _one(shapes: Shapes, blocks: int) -> list[int]:
    return [1]


def _variants(shapes: Shapes, blocks: int) -> list[int]:
    return [1, 2, 4]


def _lora(**more: Any) -> Callable[[int, int, list[str]], _Options]:
    return lambda r, blocks, targets: {"r": r, "lora_alpha": r, **more}


def _bd_lora(r: int, blocks: int, targets: list[str]) -> _Options:
    from peft import BdLoraConfig

    cut = BdLoraConfig(target_modules_bd_a=targets, target_modules_bd_b=[], nblocks=blocks)
    return {"r": r, "lora_alpha": r, "use_bdlora": cut}


def _with_alpha(r: int, blocks: int, targets: list[str]) -> _Options:
    return {"r": r, "alpha": r}


def _rank(r: int, blocks: int, targets: list[str]) -> _Options:
    return {"r": r}


def _frequencies(n: int, blocks: int, targets: list[str]) -> _Options:
    return {"n_frequency": n, "init_weights": True}


def _boft(side: int, blocks: int, targets: list[str]) -> _Options:
    from peft.tuners.boft import layer

    # A layer would otherwise have the machine's compiler build an extension for CUDA.
    layer.get_fbd_cuda = lambda: None
    return {"boft_block_size": side}


def _shira(r: int, blocks: int, targets: list[str]) -> _Options:
    # As by default, but torch warns where nobody has said so.
    torch.sparse.check_sparse_tensor_invariants.disable()
    return {"r": r, "random_seed": 0}


#: In the order in which a page lists them.
PEFT_METHODS: Mapping[str, PeftMethod] = {
    "peft-lora": PeftMethod(
        "PEFT's LoRA", "peft, arXiv 2106.09685", "LoraConfig", _lora(), _ranks,
        family=Global.name,
    ),
    "peft-rslora": PeftMethod(
        "LoRA scaled by α/√r", "peft, arXiv 2312.03732", "LoraConfig",
        _lora(use_rslora=True), _ranks, family=Global.name,
    ),
    "peft-dora": PeftMethod(
        "LoRA, and a length for each row of W + BA", "peft, arXiv 2402.09353",
        "LoraConfig", _lora(use_dora=True), _ranks,
    ),
    "peft-pissa": PeftMethod(
        "LoRA that starts as the first singular vectors of W", "peft, arXiv 2404.02948",
        "LoraConfig", _lora(init_lora_weights="pissa"), _ranks, moves_base=True,
    ),
    "peft-olora": PeftMethod(
        "LoRA that starts as part of the QR decomposition of W",
        "peft, arXiv 2406.01775", "LoraConfig", _lora(init_lora_weights="olora"), _ranks,
        moves_base=True,
    ),
    "peft-gralora": PeftMethod(
        "PEFT's GraLoRA", "peft, arXiv 2505.20355", "GraloraConfig",
        lambda r, blocks, targets: {"r": r, "alpha": r, "gralora_k": blocks}, _multiples,
        family=Localized.name, cut=True,
    ),
    "peft-bdlora": PeftMethod(
        "LoRA whose A is block-diagonal", "peft, arXiv 2510.23346", "LoraConfig",
        _bd_lora, _multiples, cut=True,
    ),
    "peft-lokr": PeftMethod(
        "a Kronecker product", "peft, arXiv 2309.14859", "LoKrConfig", _with_alpha, _ranks
    ),
    "peft-loha": PeftMethod(
        "two low-rank matrices, entry by entry multiplied", "peft, arXiv 2108.06098",
        "LoHaConfig", _with_alpha, _ranks,
    ),
    "peft-hira": PeftMethod(
        "W times a low-rank matrix, entry by entry", "peft, ICLR 2025 (TwJrTz9cRS)",
        "HiraConfig", _rank, _ranks,
    ),
    "peft-oft": PeftMethod(
        "W times an orthogonal block-diagonal matrix", "peft, arXiv 2306.07280",
        "OFTConfig", lambda b, blocks, targets: {"r": 0, "oft_block_size": b}, _input_blocks,
        "block side",
    ),
    "peft-boft": PeftMethod(
        "W times orthogonal butterflies, and a scale for each row",
        "peft, arXiv 2311.06243", "BOFTConfig",
        _boft, _even_blocks, "block side",
    ),
    "peft-vera": PeftMethod(
        "scales between two random matrices that all layers share",
        "peft, arXiv 2310.11454", "VeraConfig", _rank, _vera_ranks, shares=True,
    ),
    "peft-fourierft": PeftMethod(
        "some coefficients of the 2-D Fourier transform", "peft, arXiv 2405.03003",
        "FourierFTConfig", _frequencies, _coefficients, "coefficients",
    ),
    "peft-waveft": PeftMethod(
        "some coefficients of a wavelet transform", "peft, arXiv 2505.12532",
        "WaveFTConfig", _frequencies, _coefficients, "coefficients",
    ),
    "peft-shira": PeftMethod(
        "some entries of W, drawn by chance", "peft, arXiv 2406.13175", "ShiraConfig",
        _shira, _sparse_ranks,
    ),
    "peft-miss": PeftMethod(
        "one small block, repeated along the inputs", "peft, arXiv 2409.15371",
        "MissConfig", _rank, _input_ranks,
    ),
    "peft-randlora": PeftMethod(
        "scales of random low-rank matrices that add up to full rank",
        "peft, arXiv 2502.00987", "RandLoraConfig",
        lambda r, blocks, targets: {"r": r, "randlora_alpha": 2 * r}, _falling_ranks,
    ),
    "peft-c3a": PeftMethod(
        "circulant blocks", "peft, arXiv 2407.19342", "C3AConfig",
        lambda b, blocks, targets: {"block_size": b, "init_weights": True}, _falling_blocks,
        "block side",
    ),
    "peft-delora": PeftMethod(
        "LoRA with directions of length one and one strength",
        "peft, arXiv 2503.18225", "DeloraConfig", _rank, _ranks,
    ),
    "peft-road": PeftMethod(
        "rotations of pairs of outputs", "peft, arXiv 2409.00119", "RoadConfig",
        lambda v, blocks, targets: {"variant": f"road_{v}", "group_size": 2}, _variants,
        "variant",
    ),
    "peft-ia3": PeftMethod(
        "a scale for each output", "peft, arXiv 2205.05638", "IA3Config",
        lambda _, blocks, targets: {"feedforward_modules": []}, _one, "",
    ),
}  # fmt: skip


def _config(name: str, size: int, blocks: int, targets: list[str]) -> PeftConfig:
    import peft

    method = PEFT_METHODS[name]
    options = method.options(size, blocks, targets)
    config: PeftConfig = getattr(peft, method.config)(target_modules=targets, **options)
    return config


def _inject(name: str, size: int, blocks: int, model: nn.Module, targets: list[str]) -> None:
    """Put the layers of a method into a model, in place."""
    import peft

    config = _config(name, size, blocks, targets)
    if PEFT_METHODS[name].shares:
        # What the layers share lies in what this returns; they keep it.
        peft.get_peft_model(model, config)
    else:
        peft.inject_adapter_in_model(config, model)


@lru_cache(maxsize=4096)
def _count(name: str, size: int, blocks: int, shapes: Shapes) -> int:
    targets = [f"m{at}" for at in range(len(shapes))]
    # What is counted once and then kept must not move the numbers that a run draws.
    with torch.random.fork_rng([]):
        layers = {at: nn.Linear(n, m) for at, (m, n) in zip(targets, shapes, strict=True)}
        model = nn.ModuleDict(layers).requires_grad_(False)
        _inject(name, size, blocks, model, targets)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@lru_cache(maxsize=256)
def fitted(name: str, budget: int, blocks: int, shapes: Shapes) -> Fitted:
    """Return the largest size of a method whose parameters fit a budget.

    Parameters
    ----------
    name : str
        In `PEFT_METHODS`.
    budget : int
        Trainable parameters of all adapted matrices together.
    blocks : int
        Blocks a side, for the methods that have blocks.
    shapes : tuple of (int, int)
        (m, n) of each adapted matrix.

    Raises
    ------
    ValueError
        Its smallest size has more parameters, or none suits the shapes.

    Examples
    --------
    >>> fitted("peft-lora", 8 * (64 + 32), 4, ((64, 32),))
    Fitted(size=8, num_parameters=768)
    >>> fitted("peft-c3a", 8 * (64 + 32), 4, ((64, 32),))
    Fitted(size=4, num_parameters=512)
    """
    sizes = PEFT_METHODS[name].sizes(shapes, blocks)

    # Those that move the base are LoRA by size, and each start would decompose every matrix.
    counted = "peft-lora" if PEFT_METHODS[name].moves_base else name

    def count(size: int) -> int:
        return _count(counted, size, blocks, shapes)

    fits = bisect.bisect_right(sizes, budget, key=count)
    if not fits:
        least = f"needs {count(sizes[0]):,} parameters at least" if sizes else "has no size"
        raise ValueError(
            f"rank is too small for {name}, which {least} for matrices of these shapes; "
            f"the budget is {budget:,}"
        )
    used = count(sizes[fits - 1])
    # The least of those that spend as much: beyond some rank LoKr's factors are whole.
    return Fitted(sizes[bisect.bisect_left(sizes, used, key=count)], used)


def attach_peft(
    name: str, size: int, blocks: int, model: nn.Module, weights: Mapping[str, Tensor]
) -> tuple[list[nn.Parameter], Callable[[], dict[str, Float[Tensor, "m n"]]]]:
    """Put a method's layers into a model; return what is trained, and how to read ΔW.

    ΔW is what the layer does to the identity, less what the base did: so it holds for methods that
    multiply W, or move part of it into their factors, too.

    Parameters
    ----------
    name, size, blocks
        As in `fitted`.
    model : nn.Module
    weights : mapping of str to Tensor
        W of each adapted module.
    """
    before = {at: weight.detach().clone() for at, weight in weights.items()}
    _inject(name, size, blocks, model, list(before))
    layers: dict[str, Any] = {at: model.get_submodule(at) for at in before}

    def deltas() -> dict[str, Tensor]:
        return {at: _effective(layers[at], weight) - weight for at, weight in before.items()}

    return [p for p in model.parameters() if p.requires_grad and p.numel()], deltas


@torch.no_grad()
def _effective(layer: Any, like: Float[Tensor, "m n"]) -> Float[Tensor, "m n"]:
    """Return what a layer without its bias multiplies by."""
    base = layer.get_base_layer()
    bias, base.bias = base.bias, None
    try:
        moved: Tensor = layer(torch.eye(like.shape[1], dtype=like.dtype, device=like.device))
    finally:
        base.bias = bias
    return moved.T
