"""How close the structure of a method can come to a ΔW that is known."""

from __future__ import annotations

from lolora_core.approximate import approximate
from lolora_core.blocks.grid import Grid, budget_for_rank
from lolora_core.families import FAMILIES
from lolora_core.training.methods import Method, resolve_method
from lolora_core.training.tasks import resolve_task
from lolora_core.training.tasks.base import Task

__all__ = ["optimum"]


def optimum(task: str | Task, method: str | Method, seed: int = 0) -> float | None:
    """Return the least relative error of ΔW that a method's structure allows, by its SVD.

    None where no best ΔW is known: the task has no known ΔW, the structure is that of no family,
    or what the family finds is not proven to be the best (`hybrid`; `adaptive` on blocks of
    several sizes), so that training may get below it.

    References
    ----------
    Eckart and Young 1936, block by block.

    Examples
    --------
    >>> round(optimum("planted-blocks", Method("localized", rank=8)), 6)
    0.0
    >>> optimum("planted-blocks", Method("hybrid", rank=8)) is None
    True
    """
    chosen, target = resolve_method(method), resolve_task(task).target
    if target is None:
        return None
    if not chosen.kind.has_budget:
        return float(chosen.name == "frozen")
    if not chosen.kind.family:
        return None
    delta, family = target(seed).double(), FAMILIES[chosen.kind.family]
    if not family.is_best(family.grid(Grid.resolve(chosen.grid, delta.shape))):
        return None
    budget = budget_for_rank(delta.shape, chosen.rank)
    found = approximate(delta, family.name, budget=budget, grid=chosen.grid)
    return found.relative_error
