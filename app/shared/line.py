"""The line for a place: fair to visitors, not to who asks most."""

from __future__ import annotations

import threading
from collections import Counter

from app.shared.host import host

__all__ = ["LINE", "Line"]


class Line:
    """Who may compute or train now: `places` at a time, by turns among the visitors.

    The next place goes to the visitor that holds the fewest; among equals to the one that was
    served longest ago, then to who came first.

    Parameters
    ----------
    places : int
        Of all visitors together.
    per_visitor : int, optional
        Of one visitor at the same time; all of them by default.

    Examples
    --------
    >>> line = Line(1)
    >>> [line.enter(who, visitor) for who, visitor in (("a1", "a"), ("a2", "a"), ("b1", "b"))]
    [0, 1, 1]
    >>> line.enter("a2", "a")
    2
    """

    def __init__(self, places: int, per_visitor: int | None = None) -> None:
        self.places = places
        self.per_visitor = per_visitor or places
        self._inside: dict[object, str] = {}
        self._waiting: dict[object, str] = {}
        self._order: list[object] = []
        # When a visitor was last given a place, in places given.
        self._served: dict[str, int] = {}
        self._given = 0
        self._lock = threading.Lock()

    def enter(self, who: object, visitor: str) -> int:
        """Stand in line, or stay there; return how many must leave before one's turn."""
        with self._lock:
            if who not in self._inside and who not in self._waiting:
                self._waiting[who] = visitor
                self._admit()
            if who in self._inside:
                return 0
            free = self.places - len(self._inside)
            return max(1, self._order.index(who) + 1 - free)

    def full(self, visitor: str) -> bool:
        """Return whether a visitor holds as many places as one may."""
        with self._lock:
            return list(self._inside.values()).count(visitor) >= self.per_visitor

    @property
    def waited_for(self) -> bool:
        """Whether somebody would take a place that becomes free."""
        return bool(self._order)

    def leave(self, who: object) -> None:
        """Give up a place or the wait for one."""
        with self._lock:
            if self._inside.pop(who, None) is None and self._waiting.pop(who, None) is None:
                return
            self._admit()
            if not self._inside and not self._waiting:
                self._served.clear()

    def _admit(self) -> None:
        self._sort()
        while len(self._inside) < self.places:
            held = Counter(self._inside.values())
            for who in self._order:
                visitor = self._waiting[who]
                if held[visitor] < self.per_visitor:
                    break
            else:
                return
            del self._waiting[who]
            self._inside[who] = visitor
            self._given += 1
            self._served[visitor] = self._given
            self._sort()

    def _sort(self) -> None:
        """Put those who wait in the order in which places will come to them."""
        rounds = Counter(self._inside.values())
        turns = {}
        for who, visitor in self._waiting.items():
            turns[who] = rounds[visitor], self._served.get(visitor, 0)
            rounds[visitor] += 1
        self._order = sorted(turns, key=lambda who: turns[who])


#: Of all work of this server.
LINE = Line(host().runs_at_once, host().runs_per_visitor)
