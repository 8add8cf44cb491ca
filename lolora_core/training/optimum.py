"""How close the structure of a method can come to a ΔW that is known."""

from __future__ import annotations

from lolora_core.approximate import approximate
from lolora_core.blocks.grid import budget_for_rank
from lolora_core.training.methods import Method, resolve_method
from lolora_core.training.tasks import resolve_task
from lolora_core.training.tasks.base import Task

__all__ = ["optimum"]


def optimum(task: str | Task, method: str | Method, seed: int = 0) -> float | None:
    """Return the least relative error of ΔW that a method's structure allows, by its SVD.

    None where no best ΔW is known, or the structure is that of no family. For `hybrid` it is the
    best that its search finds, so training may get below it.

    References
    ----------
    Eckart and Young 1936, block by block.

    Examples
    --------
    >>> round(optimum("planted-blocks", Method("localized", rank=8)), 6)
    0.0
    """
    chosen, target = resolve_method(method), resolve_task(task).target
    if target is None:
        return None
    if not chosen.kind.has_budget:
        return float(chosen.name == "frozen")
    if not chosen.kind.family:
        return None
    delta = target(seed).double()
    budget = budget_for_rank(delta.shape, chosen.rank)
    found = approximate(delta, chosen.kind.family, budget=budget, grid=chosen.grid)
    return found.relative_error
