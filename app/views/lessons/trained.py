"""Short races of lessons, as a process of the pool trains them: with the library alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lolora_core.common.threads import one_thread
from lolora_core.training import DivergedError, Method, fine_tune

__all__ = ["Race", "trained"]


@dataclass(frozen=True, eq=False)
class Race:
    """How one method ended.

    Attributes
    ----------
    steps, losses : list
        Where the validation loss was taken, and what it was.
    metric : float
        At the end, on the same split.
    lr : float
        Peak learning rate.
    num_parameters : int
    deltas : dict of str to ndarray
        What it learned, by matrix.
    diverged : bool
    """

    steps: list[int]
    losses: list[float]
    metric: float
    lr: float
    num_parameters: int
    deltas: dict[str, np.ndarray]
    diverged: bool

    @property
    def loss(self) -> float:
        """Validation loss at the end; infinite where the run diverged."""
        return float("inf") if self.diverged else self.losses[-1]

    @property
    def nbytes(self) -> int:
        """Memory of what was learned."""
        return sum(delta.nbytes for delta in self.deltas.values())


def trained(state: Mapping[str, Any], method: str) -> Race:
    """Train a method as a state of Fine-tune says, on the CPU."""
    chosen = Method(method, rank=state["ft_rank"], grid=state["ft_grid"])
    with one_thread():
        run = fine_tune(
            state["ft_task"],
            chosen,
            steps=state["ft_steps"],
            lr=state[f"ft_lr.{method}"],
            seed=state["ft_seed"],
            device="cpu",
        )
        diverged = False
        try:
            for _ in run:
                pass
        except DivergedError:
            diverged = True
        seen = [record for record in run.records if record.eval_loss is not None]
        return Race(
            [record.step for record in seen],
            [float(record.eval_loss or 0) for record in seen],
            float(seen[-1].metric or 0),
            run.lr,
            run.num_parameters,
            {name: delta.float().numpy(force=True) for name, delta in run.deltas().items()},
            diverged,
        )
