"""Races by key: those that train, and ended ones as far as the memory goes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, Protocol, TypeVar
from weakref import WeakValueDictionary

__all__ = ["Kept", "Shelf"]


class Kept(Protocol):
    """What can lie on the shelf: a race."""

    key: str

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""

    @property
    def nbytes(self) -> int:
        """Memory that it holds, about."""


T = TypeVar("T", bound=Kept)


class Shelf(Generic[T]):
    """Finds a race again after its page was loaded anew.

    Ended races go when they are more or larger than allowed, those first that nobody asked for
    longest. One that a visitor still looks at is found as long as it is looked at.

    Parameters
    ----------
    max_races, max_bytes : int
        Of ended races.
    """

    def __init__(self, max_races: int, max_bytes: int) -> None:
        self._max_races, self._max_bytes = max_races, max_bytes
        self._held: OrderedDict[str, T] = OrderedDict()
        self._seen: WeakValueDictionary[str, T] = WeakValueDictionary()
        self._lock = threading.Lock()

    def put(self, race: T) -> None:
        """Hold a race."""
        with self._lock:
            self._held[race.key] = self._seen[race.key] = race
            self._tidy()

    def get(self, key: str) -> T | None:
        """Return the race of a key, if it is held, and hold it for longer."""
        with self._lock:
            race = self._seen.get(key)
            if race is not None:
                self._held[key] = race
                self._held.move_to_end(key)
                self._tidy()
            return race

    def held(self) -> list[T]:
        """Return the races that are held."""
        with self._lock:
            return list(self._held.values())

    def tidy(self) -> None:
        """Let go of what is too much."""
        with self._lock:
            self._tidy()

    def _tidy(self) -> None:
        room, races = self._max_bytes, self._max_races
        for race in reversed([race for race in self._held.values() if race.ended]):
            room, races = room - race.nbytes, races - 1
            if room < 0 or races < 0:
                del self._held[race.key]
