"""How a family's adapter is put into a task's model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from lolora_core.adapters import (
    AdapterConfig,
    adapter_layers,
    adapter_parameters,
    add_adapters,
    full_gradients,
)
from lolora_core.families import FAMILIES
from lolora_core.training.tasks.base import Data, Problem

__all__ = ["Attached", "GridSize", "attach_family"]

#: Blocks a side, or blocks down and across.
GridSize = int | tuple[int, int]
GRADIENT_BATCHES = 4
GRADIENT_BATCH = 64


class Attached(NamedTuple):
    """A method attached to a model: what is trained, and how to read ΔW.

    Attributes
    ----------
    model : nn.Module
    parameters : list of Parameter
    deltas : callable
    size : str
        What was chosen to fit the budget, where the method has another size than a rank.
    share : float
        Of the budget that is spent; NaN where the method keeps to none.
    lr_scales : mapping of Parameter to float
        How many times the run's learning rate a parameter learns at; those left out at 1.
    """

    model: nn.Module
    parameters: list[nn.Parameter]
    deltas: Callable[[], dict[str, Float[Tensor, "m n"]]]
    size: str = ""
    share: float = math.nan
    lr_scales: Mapping[nn.Parameter, float] = MappingProxyType({})


def attach_family(
    problem: Problem,
    family: str,
    rank: int,
    grid: GridSize,
    *,
    alpha: float | None = None,
    b_scale: float = 1.0,
) -> Attached:
    """Give a task's model the adapter of a family, ΔW_ij = (alpha/rank)·B_ij·A_ij; in place.

    Parameters
    ----------
    problem : Problem
    family : str
        A name in `FAMILIES`.
    rank, grid
        As in `Method`.
    alpha : float, optional
        The rank by default, so that the scaling is 1.
    b_scale : float
        How many times the learning rate of A every B has.

    Raises
    ------
    ValueError
        Rank or grid do not fit a weight; the message names what does.

    Examples
    --------
    >>> from lolora_core.training.tasks import resolve_task
    >>> attached = attach_family(resolve_task("planted-blocks").build(0), "localized", 8, 4)
    >>> sum(p.numel() for p in attached.parameters), attached.deltas()["layer"].shape
    (2048, torch.Size([128, 128]))
    """
    config = AdapterConfig(
        family=family,
        rank=rank,
        grid=grid,
        alpha=rank if alpha is None else alpha,
        target_modules=problem.adapted,
        init=FAMILIES[family].init,
    )
    gradients = None
    if config.init == "gradient":
        inputs, targets = problem.splits["train"]
        size = GRADIENT_BATCH
        cuts = [slice(at * size, (at + 1) * size) for at in range(GRADIENT_BATCHES)]
        batches = [Data(inputs[cut], targets[cut]) for cut in cuts if len(inputs[cut])]
        gradients = full_gradients(
            problem.model,
            lambda model, b: problem.loss(model(b.inputs), b.targets),
            batches,
            config,
        )
    model = add_adapters(problem.model, config, gradients=gradients)
    layers = adapter_layers(model)
    terms = [term for layer in layers.values() for term in layer.block_terms]

    def deltas() -> dict[str, Tensor]:
        return {name: layer.delta() for name, layer in layers.items()}

    return Attached(
        model,
        list(adapter_parameters(model)),
        deltas,
        lr_scales={piece: b_scale for term in terms for piece in term.B},
    )
