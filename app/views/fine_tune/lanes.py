"""What a race is made of: its plan, and a lane for each method and seed."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from lolora_core.training import Record, resolve_task

__all__ = ["Lane", "Outcome", "RacePlan"]


@dataclass(frozen=True)
class RacePlan:
    """All that a race is made from; equal plans give equal numbers on the CPU.

    Attributes
    ----------
    rates : tuple of float or None
        Peak learning rate of each method; None is the library's own.
    steps : int or None
        None is the task's own number.
    """

    task: str
    methods: tuple[str, ...]
    rates: tuple[float | None, ...]
    rank: int
    grid: int
    seeds: tuple[int, ...]
    steps: int | None = None
    device: str = "cpu"

    @property
    def num_steps(self) -> int:
        """Steps of each run."""
        own = resolve_task(self.task).steps
        return own if self.steps is None else self.steps


@dataclass(frozen=True)
class Outcome:
    """What a whole run reached, and where early stopping would have stopped it.

    Attributes
    ----------
    loss, metric : float
        On the test split, after the last step.
    ranks : tuple of int
        Numerical rank of ΔW of each module, after the last step.
    distance : float or None
        ‖ΔW − ΔW_full‖/‖ΔW_full‖ over all modules after the last step, where full fine-tuning took
        part.
    stopped_step : int
        Of the evaluation with the least validation loss.
    stopped_loss, stopped_metric : float
        On the test split, at that step.
    """

    loss: float
    metric: float
    ranks: tuple[int, ...]
    distance: float | None
    stopped_step: int
    stopped_loss: float
    stopped_metric: float


@dataclass(eq=False)
class Lane:
    """One method with one seed: what it has shown so far, kept however it ends.

    Attributes
    ----------
    size, share
        Of blast or a method of PEFT: what fits the budget, and how much of the budget that is.
    problem : str
        A sentence on why it diverged or takes no part.
    adapter, deltas
        Of the first seed, at the end: the ZIP, and ΔW by module (float32).
    step : int
        Of `adapter` and `deltas`; the last good one where the run diverged.
    """

    method: str
    seed: int
    records: list[Record] = field(default_factory=list)
    num_parameters: int = 0
    lr: float = float("nan")
    size: str = ""
    share: float = float("nan")
    problem: str = ""
    outcome: Outcome | None = None
    step: int = 0
    adapter: bytes | None = None
    deltas: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    @property
    def evaluated(self) -> list[Record]:
        """The records that were evaluated."""
        return [record for record in self.records if record.eval_loss is not None]
