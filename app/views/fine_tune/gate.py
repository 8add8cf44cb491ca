"""Holds who trains between two steps, by words from outside."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal

from app.views.fine_tune.events import Halted

__all__ = ["EndedError", "Gate", "Word"]

#: Train on; hold after this step; make one round and hold; end; hand over and end.
Word = Literal["go", "hold", "step", "stop", "leave"]


class EndedError(Exception):
    """Leaves the training; whether it is handed over."""

    def __init__(self, *, leave: bool) -> None:
        super().__init__()
        self.leave = leave


class Gate:
    """Lets the trainer through, or holds it.

    Parameters
    ----------
    word : Word
        The first.
    tell : callable
        Is told whenever somebody has to wait, and when all may go on.
    """

    def __init__(self, word: Word, tell: Callable[[Halted], None]) -> None:
        self._tell = tell
        self._word = word
        self._granted, self._stepping = 0, False
        self._changed = threading.Condition()

    @property
    def holding(self) -> bool:
        """Whether whoever comes has to wait."""
        return self._word == "hold"

    def hear(self, word: Word | None) -> None:
        """Take a word; none means that nobody is there any more."""
        with self._changed:
            self._granted = self._granted + 1 if word == "step" else 0
            self._word = "stop" if word is None else "hold" if word == "step" else word
            self._changed.notify_all()

    def wait(self, before: Literal["seed", "round", "step"]) -> None:
        """Return when one may go on.

        A granted step is a whole round, and a round that was held is ended before it.
        """
        waited = False
        with self._changed:
            while self._word == "hold":
                free = before == "seed" or (before == "step" and self._stepping)
                if free or self._granted:
                    break
                if not waited:
                    waited = True
                    self._tell(Halted(True))
                self._changed.wait()
            # A seed is handed over when all of it is prepared.
            if self._word == "stop" or (self._word == "leave" and before != "seed"):
                raise EndedError(leave=self._word == "leave")
            if before == "round":
                self._stepping = self._word == "hold"
                self._granted -= self._stepping
            if waited and self._word == "go":
                self._tell(Halted(False))
