"""Garbage on a timer: what lives at the start is never visited, what comes later is collected."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from app.server.rubbish import collect_for_ever


class Knot:
    """What only a collection frees."""

    def __init__(self) -> None:
        self.self = self


@pytest.fixture
def by_hand() -> Iterator[None]:
    gc.disable()
    yield
    gc.unfreeze()
    gc.enable()


@pytest.mark.usefixtures("by_hand")
def test_a_knot_is_freed_and_what_was_there_is_left_alone() -> None:
    async def freed() -> None:
        task = asyncio.create_task(collect_for_ever(0.0))
        await asyncio.sleep(0)
        assert gc.get_freeze_count() > 1000
        gone = asyncio.Event()
        weakref.finalize(Knot(), gone.set)
        await gone.wait()
        task.cancel()

    asyncio.run(freed())


@pytest.mark.usefixtures("by_hand")
def test_what_was_frozen_is_freed_when_a_round_is_over() -> None:
    async def freed() -> None:
        knot, gone = Knot(), asyncio.Event()
        weakref.finalize(knot, gone.set)
        task = asyncio.create_task(collect_for_ever(0.0, round_of=3))
        await asyncio.sleep(0)
        del knot
        gc.collect()
        assert not gone.is_set(), "it was not frozen"
        await gone.wait()
        task.cancel()

    asyncio.run(freed())
