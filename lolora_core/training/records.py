"""What a run leaves behind: a record for each step, snapshots to go back to, why it ended."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

__all__ = ["DivergedError", "Record", "Snapshot"]


class DivergedError(RuntimeError):
    """The loss became NaN, infinite or a million times its start; the run keeps all it had.

    AdamW's steps are bounded, so far too high a rate often ends in huge losses that are finite.

    Examples
    --------
    >>> raise DivergedError(float("nan"), 7)
    Traceback (most recent call last):
    lolora_core.training.records.DivergedError: loss became NaN at step 7
    """

    def __init__(self, loss: float, step: int) -> None:
        became = "NaN" if math.isnan(loss) else "infinite" if math.isinf(loss) else f"{loss:.3g}"
        super().__init__(f"loss became {became} at step {step}")
        self.step = step


@dataclass(frozen=True)
class Record:
    """What one step showed.

    Attributes
    ----------
    step : int
        0 is the start, before any update.
    train_loss : float or None
        Loss of the step's batch before its update; None at step 0.
    eval_loss, metric : float or None
        Over the evaluated split after the update; None at steps that are not evaluated.
    delta_norm : float or None
        (Σ ‖ΔW‖²_F)^½ over all adapted matrices; None at steps that are not evaluated.
    seconds : float
        Time spent in steps so far, evaluations and pauses left out.
    samples_per_second : float
        Training examples seen, by `seconds`.
    memory_bytes : int
        On CUDA the peak allocated on the device; elsewhere the size of the trainable tensors,
        their gradients and the optimizer's state.
    """

    step: int
    train_loss: float | None
    eval_loss: float | None
    metric: float | None
    delta_norm: float | None
    seconds: float
    samples_per_second: float
    memory_bytes: int


@dataclass(frozen=True, eq=False)
class Snapshot:
    """All that `Run.restore` needs to go on from `step` as if nothing had happened since."""

    step: int
    parameters: tuple[Tensor, ...]
    optimizer: dict[str, Any]
    seconds: float
