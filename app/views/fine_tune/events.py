"""What a process that trains tells of a race, as it happens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from app.views.fine_tune.film import Frame
from app.views.fine_tune.lanes import Outcome
from lolora_core.training import Record

__all__ = [
    "Begun",
    "Concluded",
    "Entered",
    "Event",
    "Failed",
    "Halted",
    "Kept",
    "Problem",
    "Stepped",
]


@dataclass(frozen=True)
class Begun:
    """A seed is prepared for."""

    seed: int


@dataclass(frozen=True)
class Entered:
    """A method stands at the start."""

    at: int
    num_parameters: int
    lr: float
    size: str
    share: float


@dataclass(frozen=True)
class Problem:
    """A method takes no part, or no more."""

    at: int
    text: str


@dataclass(frozen=True)
class Stepped:
    """A step was made, in so many seconds; none where the run diverged in it."""

    at: int
    record: Record | None
    seconds: float


@dataclass(frozen=True)
class Halted:
    """Training waits at the gate, or goes on."""

    waits: bool


@dataclass(frozen=True)
class Concluded:
    """What a method reached with this seed."""

    at: int
    outcome: Outcome


@dataclass(frozen=True, eq=False)
class Kept:
    """What the page offers of a method afterwards: ΔW by module, of a step, and the ZIP."""

    at: int
    step: int
    deltas: dict[str, np.ndarray]
    adapter: bytes


@dataclass(frozen=True)
class Failed:
    """The race ended by an error; a sentence on it."""

    text: str


Event = Begun | Entered | Problem | Stepped | Halted | Frame | Concluded | Kept | Failed
