"""What can be trained: families at one budget and their variants, full, frozen, PEFT's layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lolora_core.common.names import near_names
from lolora_core.families import FAMILIES
from lolora_core.training.attach import Attached, GridSize, attach_family
from lolora_core.training.peft_methods import PEFT_METHODS, attach_peft, fitted
from lolora_core.training.tasks.base import Problem
from lolora_core.training.variants import VARIANTS

__all__ = ["LEARNING_RATES", "METHODS", "Kind", "Method", "resolve_method"]


class Rates(NamedTuple):
    """Peak learning rates of adapters of any family, of full fine-tuning, and of the head alone."""

    adapter: float = 1e-2
    full: float = 1e-3
    frozen: float = 3e-2


#: By task, near to what most families chose in docs/does-it-train-better.md (inverted: in an
#: earlier search of the same kind); one rate for all families, so that their curves compare. Tasks
#: left out take the defaults of `Rates`.
LEARNING_RATES: dict[str, Rates] = {
    "digits-rotated": Rates(1e-2, 3e-3, 3e-2),
    "digits-inverted": Rates(1e-2, 3e-3, 1e-2),
    "digits-noisy": Rates(3e-3, 1e-3, 1e-2),
    "digits-dark": Rates(3e-3, 1e-3, 1e-2),
    "digits-shifted": Rates(3e-3, 1e-3, 3e-2),
    "digits-transformer": Rates(1e-2, 1e-3, 3e-2),
    "planted-blocks": Rates(3e-2, 1e-2),
    "planted-global": Rates(3e-2, 1e-2),
    "planted-sum": Rates(3e-2, 1e-2),
    "image": Rates(3e-2, 3e-2),
    "docstrings": Rates(3e-3, 3e-4, 1e-2),
}


@dataclass(frozen=True)
class Kind:
    """One line of the registry of methods.

    Attributes
    ----------
    name, summary, source : str
    attach : callable
        ``(problem, method, seed) -> Attached``; changes ``problem.model`` in place.
    family : str
        Whose structure ΔW has; empty where no family has it.
    package : str
        What must be installed for it; empty where nothing is.
    cut : bool
        Whether it has blocks that no family describes.
    has_budget : bool
        Whether it keeps to a budget; what trains everything, or the head alone, does not.
    rate : float
        How many times the adapters' learning rate it has by default.
    """

    name: str
    summary: str
    source: str
    attach: Callable[[Problem, Method, int], Attached]
    family: str = ""
    package: str = ""
    cut: bool = False
    has_budget: bool = True
    rate: float = 1.0

    @property
    def has_grid(self) -> bool:
        """Whether it has blocks."""
        return self.cut or bool(self.family and not FAMILIES[self.family].spans_whole)


@dataclass(frozen=True)
class Method:
    """How a model is adapted, at which budget.

    Parameters
    ----------
    name : str
        A name in `METHODS`.
    rank : int
        Equivalent rank r: each adapted m×n matrix gets r·(m + n) parameters. Scaling is
        alpha/rank = 1, but for the variants that fix alpha.
    grid : int or (int, int)
        Blocks down and across, for the families that have blocks.

    Raises
    ------
    ValueError
        An unknown name (the message offers near ones), or a rank below 1.
    ModuleNotFoundError
        A PEFT method without peft; the message says how to install it.

    Notes
    -----
    `adaptive` chooses its rank map, and `hybrid` the share and the ranks of its two terms, from
    the mean gradient of the loss with respect to each adapted weight on the first 4 × 64 training
    examples (``init="gradient"``; this project's own idea, and no promise). Every adapter starts
    at ΔW = 0.

    Examples
    --------
    >>> Method("hybird")
    Traceback (most recent call last):
    ValueError: there is no method 'hybird'; did you mean hybrid?
    """

    name: str
    rank: int = 16
    grid: GridSize = 4

    def __post_init__(self) -> None:
        if self.name not in METHODS:
            raise ValueError(near_names(self.name, METHODS, "method"))
        if isinstance(self.rank, bool) or not isinstance(self.rank, int) or self.rank < 1:
            raise ValueError(f"rank must be an integer of 1 or more; it is {self.rank!r}")
        package = self.kind.package
        if package and find_spec(package) is None:
            raise ModuleNotFoundError(
                f"{self.name} needs {package}; install it with: pip install {package}"
            )

    @property
    def kind(self) -> Kind:
        """The registry's line for this method."""
        return METHODS[self.name]

    @property
    def label(self) -> str:
        """The name with rank and grid, where they mean anything to the method.

        Examples
        --------
        >>> Method("localized", rank=8).label, Method("full").label
        ('localized r=8 K=4', 'full')
        """
        if not self.kind.has_budget:
            return self.name
        cut = self.grid if isinstance(self.grid, int) else "×".join(map(str, self.grid))
        blocks = f" K={cut}" if self.kind.has_grid else ""
        return f"{self.name} r={self.rank}{blocks}"

    def learning_rate(self, task: str) -> float:
        """Return the peak learning rate on the task of that name, from `LEARNING_RATES`.

        That of LoRA+ is A's, a quarter of the others': B learns at 16 times of it, and the
        geometric mean of both is that of the others.

        Examples
        --------
        >>> [Method(name).learning_rate("image") for name in ("global", "global-lora-plus")]
        [0.03, 0.0075]
        """
        rates = LEARNING_RATES.get(task, Rates())
        adapter = self.kind.rate * rates.adapter
        return {"full": rates.full, "frozen": rates.frozen}.get(self.name, adapter)

    def attach(self, problem: Problem, seed: int) -> Attached:
        """Freeze the base, add what the method trains, and train the head with it."""
        problem.model.requires_grad_(False)
        attached = self.kind.attach(problem, self, seed)
        heads = [problem.model.get_submodule(name) for name in problem.head]
        for head in heads:
            head.requires_grad_(True)
        extra = [parameter for head in heads for parameter in head.parameters()]
        return attached._replace(parameters=_unique([*attached.parameters, *extra]))


def _unique(parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    return list({id(parameter): parameter for parameter in parameters}.values())


def _full(problem: Problem, method: Method, seed: int) -> Attached:
    problem.model.requires_grad_(True)
    base = {name: weight.detach().clone() for name, weight in problem.weights().items()}

    def deltas() -> dict[str, Tensor]:
        return {name: weight - base[name] for name, weight in problem.weights().items()}

    return Attached(problem.model, list(problem.model.parameters()), deltas)


def _frozen(problem: Problem, method: Method, seed: int) -> Attached:
    zeros = {name: torch.zeros_like(weight) for name, weight in problem.weights().items()}
    return Attached(problem.model, [], lambda: dict(zeros))


def _family(problem: Problem, method: Method, seed: int) -> Attached:
    return attach_family(problem, method.name, method.rank, method.grid)


def _variant(problem: Problem, method: Method, seed: int) -> Attached:
    return VARIANTS[method.name].attach(problem, method.rank, method.grid, seed)


def _peft(problem: Problem, method: Method, seed: int) -> Attached:
    blocks = method.grid if method.kind.has_grid else 1
    if not isinstance(blocks, int):
        raise ValueError(f"grid of {method.name} must be one number; it is {method.grid!r}")
    weights = problem.weights()
    shapes = tuple((w.shape[0], w.shape[1]) for w in weights.values())
    budget = sum(method.rank * (m + n) for m, n in shapes)
    size, used = fitted(method.name, budget, blocks, shapes)
    trained, deltas = attach_peft(method.name, size, blocks, problem.model, weights)
    called = PEFT_METHODS[method.name].size_name
    words = f"{called} = {size:,}" if called else "its only size"
    return Attached(problem.model, trained, deltas, words, used / budget)


METHODS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        *(Kind(f.name, f.summary, f.source, _family, f.name) for f in FAMILIES.values()),
        *(
            Kind(name, v.summary, v.source, _variant, v.family, cut=v.cut, rate=v.rate)
            for name, v in VARIANTS.items()
        ),
        Kind("full", "every parameter of the model", "full fine-tuning", _full, has_budget=False),
        Kind("frozen", "the head alone, ΔW = 0", "linear probe", _frozen, has_budget=False),
        *(
            Kind(name, peft.summary, peft.source, _peft, peft.family, "peft", peft.cut)
            for name, peft in PEFT_METHODS.items()
        ),
    )
}


def resolve_method(method: str | Method) -> Method:
    """Return the method of that name with its defaults, or the method itself.

    Examples
    --------
    >>> resolve_method("full").rank
    16
    """
    return method if isinstance(method, Method) else Method(method)
