"""Where a race stands, as one look finds it."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["ENDED", "Moment", "State"]

State = Literal[
    "queued", "preparing", "running", "pausing", "paused", "away", "finished", "stopped", "failed"
]
ENDED: tuple[State, ...] = ("finished", "stopped", "failed")
_WAITING: tuple[State, ...] = ("queued", "paused", "away")


class Moment(NamedTuple):
    """What tells two looks at a race apart.

    Attributes
    ----------
    state : str
    before : int
        While queued: how many come first.
    steps : int
        Made so far, of all methods and seeds.

    Examples
    --------
    >>> Moment("queued", 2, 0).waits, Moment("finished", 0, 800).ended
    (True, True)
    """

    state: State
    before: int
    steps: int

    @property
    def waits(self) -> bool:
        """Whether nothing comes until somebody else, or the visitor, has done something."""
        return self.state in _WAITING

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.state in ENDED
