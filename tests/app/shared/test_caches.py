"""Results of all kinds together stay within what the host allows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cachetools import LRUCache
from cachetools.keys import hashkey

from app.shared import caches
from app.shared.caches import HELD, Kind
from app.shared.host import MEGABYTE, host
from app.shared.scene import Scene, decompositions
from lolora_core import Grid
from lolora_core.targets import load


@pytest.fixture
def kilobyte(monkeypatch: pytest.MonkeyPatch) -> LRUCache[Any, Any]:
    small: LRUCache[Any, Any] = LRUCache(1000, getsizeof=caches.nbytes)
    monkeypatch.setattr(caches, "HELD", small)
    return small


def test_the_bound_is_the_hosts() -> None:
    assert HELD.maxsize == host().cache_mb * MEGABYTE
    assert HELD.currsize == sum(map(caches.nbytes, HELD.values())) <= HELD.maxsize


def test_kinds_share_the_bound_and_the_least_recently_used_goes(
    kilobyte: LRUCache[Any, Any],
) -> None:
    words, arrays = Kind[bytes]("words"), Kind[np.ndarray]("arrays")
    words.put(1, b"x" * 400)
    arrays.put(1, np.zeros(50))
    assert words.get(1) is not None
    words.put(2, b"x" * 500)
    assert (1 in words, 1 in arrays, 2 in words) == (True, False, True)
    assert kilobyte.currsize == 900


def test_what_is_larger_than_all_is_returned_and_not_held() -> None:
    made = Kind[bytes]("made")
    calls: list[int] = []

    @made.cached(hashkey)
    def make(size: int) -> bytes:
        calls.append(size)
        return bytes(size)

    assert [len(make(size)) for size in (10, 10)] == [10, 10]
    assert calls == [10]
    before = HELD.currsize
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(caches, "nbytes", lambda held: HELD.maxsize + 1)
        made.put("large", b"x")
    assert "large" not in made
    assert HELD.currsize == before


def test_decompositions_are_counted() -> None:
    before = HELD.currsize
    target = load("gaussian-noise", size=48, seed=2024)
    (made,) = decompositions(Scene(target, Grid.regular((48, 48), 4), "cpu"))
    assert HELD.currsize - before >= target.array.nbytes + made.on(made.grid).nbytes
