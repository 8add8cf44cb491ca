"""What is trained: a base, its data in three splits, a loss, and the modules that are adapted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["SPLITS", "Data", "Problem", "Split", "Task"]


Split = Literal["train", "validation", "test"]


SPLITS: tuple[Split, ...] = ("train", "validation", "test")


Score = Callable[[Tensor, Tensor], Tensor]

#: Examples that are evaluated at once.
CHUNK = 512


class Data(NamedTuple):
    """Inputs and targets of one split, n of each along the first axis."""

    inputs: Tensor
    targets: Tensor


@dataclass(frozen=True, eq=False)
class Problem:
    """One task made concrete for one seed; every method starts from the same one.

    Attributes
    ----------
    model : nn.Module
        The base, with its pretrained weights.
    splits : mapping of {"train", "validation", "test"} to Data
        Batches come from "train"; learning rates are chosen on "validation".
    adapted : tuple of str
        Names of the `nn.Linear` modules that adapters change.
    head : tuple of str
        Names of the modules that every method trains as a whole; empty where there is no head.
    loss, metric : callable
        ``(outputs, targets) -> scalar tensor``; the loss is what is minimized.
    """

    model: nn.Module
    splits: Mapping[Split, Data]
    adapted: tuple[str, ...]
    head: tuple[str, ...]
    loss: Score
    metric: Score

    def to(self, device: torch.device) -> Problem:
        """Return the problem with model and data on `device`."""
        splits = {name: Data(*(part.to(device) for part in d)) for name, d in self.splits.items()}
        return replace(self, model=self.model.to(device), splits=splits)

    @torch.no_grad()
    def score(self, data: Data) -> tuple[float, float]:
        """Return loss and metric of the model over some examples, in float32."""
        outputs = self.outputs(data.inputs)
        return float(self.loss(outputs, data.targets)), float(self.metric(outputs, data.targets))

    @torch.no_grad()
    def outputs(self, inputs: Tensor) -> Tensor:
        """Return what the model says about some inputs."""
        return torch.cat([self.model(part) for part in inputs.split(CHUNK)])

    def weights(self) -> dict[str, Float[Tensor, "m n"]]:
        """Return the weight of every adapted module by its name."""
        found = {name: self.model.get_submodule(name) for name in self.adapted}
        # No parameter of an adapted layer, whose weight is W + ΔW; torch's types know no such name.
        return {name: module.weight for name, module in found.items()}  # type: ignore[misc]


@dataclass(frozen=True)
class Task:
    """One line of the registry: everything to know about a task before it is built.

    Attributes
    ----------
    name : str
        The key in `TASKS`.
    title, description, source : str
        A short name, what is learnt from what, and where model and data come from.
    goal : str
        One plain sentence: what the base can do, and what it has to learn.
    build : callable
        ``seed -> Problem``. The seed draws the training examples; the test split does not change.
    steps, batch : int
        How many steps by default, and how many examples in each.
    evaluations : int
        How often a run is evaluated by default.
    metric_name : str
        What `Problem.metric` is.
    higher_is_better : bool
        Whether a greater metric is the better one.
    target : callable, optional
        ``seed -> ΔW`` where the best update is known: `optimum` measures against it.
    mixed_precision : bool
        Whether bfloat16 products may be used on CUDA; not where the fit itself is measured.
    requires : callable
        Returns a sentence on what is missing, or None.
    known : callable, optional
        ``seed -> Data``: test examples of what the base was made for.
    classes : tuple of str
        What the targets are called, where they are classes.
    text : callable, optional
        ``inputs -> sentences`` where the inputs are tokens.
    downloads : bool
        Whether the first `build` needs a network.
    """

    name: str
    title: str
    description: str
    source: str
    goal: str
    build: Callable[[int], Problem]
    steps: int = 400
    batch: int = 32
    evaluations: int = 20
    metric_name: str = "accuracy"
    higher_is_better: bool = True
    target: Callable[[int], Float[Tensor, "m n"]] | None = None
    mixed_precision: bool = True
    requires: Callable[[], str | None] = lambda: None
    known: Callable[[int], Data] | None = None
    classes: tuple[str, ...] = ()
    text: Callable[[Tensor], list[str]] | None = None
    downloads: bool = False

    @property
    def can_forget(self) -> bool:
        """Whether the base was made for something that training may spoil.

        A planted ΔW replaces what the base did: there is nothing to keep.
        """
        return self.known is not None and bool(self.classes)
