"""Short races of lessons: some methods on one task, each from the same seed; held."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from cachetools.keys import hashkey

from app.shared.caches import Kind
from app.shared.pool import kept_call, unseen, visiting
from app.shared.progress import visitor
from app.views.lessons.trained import Race, trained

__all__ = ["Race", "race"]


def _key(state: dict[str, Any], method: str) -> Any:
    names = ("ft_task", "ft_rank", "ft_grid", "ft_steps", "ft_seed", f"ft_lr.{method}")
    return hashkey(method, *(state[name] for name in names))


_held = Kind[Race]("races").cached(_key)(trained)


def race(state: dict[str, Any], method: str) -> Race:
    """Train a method as a state of Fine-tune says, on the CPU; for a visitor in the pool."""
    who = visitor()
    with visiting(who) if who else nullcontext():
        found: Race = kept_call(_held, (state, method), trained, state, method, progress=unseen)
    return found
