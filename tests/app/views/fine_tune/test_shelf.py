"""Ended races are found again, as many as the memory allows."""

from __future__ import annotations

import gc
from dataclasses import dataclass

from app.views.fine_tune.shelf import Shelf


@dataclass(eq=False)
class Thing:
    key: str
    nbytes: int = 1
    ended: bool = True


def test_the_oldest_go_first_and_those_in_training_stay() -> None:
    shelf: Shelf[Thing] = Shelf(max_races=2, max_bytes=100)
    shelf.put(Thing("training", ended=False))
    for key in "abc":
        shelf.put(Thing(key))
    gc.collect()
    assert shelf.get("a") is None
    assert [shelf.get(key) is not None for key in ("b", "c", "training")] == [True] * 3
    # Whoever was asked for stays longer.
    shelf.get("b")
    shelf.put(Thing("d"))
    gc.collect()
    assert shelf.get("c") is None
    assert shelf.get("b") is not None


def test_memory_is_bounded_also_by_size() -> None:
    shelf: Shelf[Thing] = Shelf(max_races=9, max_bytes=10)
    for key in "abc":
        shelf.put(Thing(key, nbytes=4))
    gc.collect()
    assert shelf.get("a") is None
    assert shelf.get("c") is not None
    late = Thing("late", nbytes=11, ended=False)
    shelf.put(late)
    late.ended = True
    shelf.tidy()
    # A visitor still looks at it; when nobody does, it is gone.
    assert shelf.get("late") is late
    del late
    gc.collect()
    assert shelf.get("late") is None
