"""Garbage on a timer: what lives at the start is never visited, what comes later is collected."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator

import pytest

from app.server.rubbish import collect_for_ever

#: Threads that hold memory at the same time, and how many places of glibc's it comes from.
ARENAS = """
import ctypes, sys, tempfile, threading
from app.server.rubbish import few_arenas
if sys.argv[1] == "few":
    few_arenas()
libc = ctypes.CDLL("libc.so.6")
libc.malloc.restype, libc.fopen.restype = ctypes.c_void_p, ctypes.c_void_p
all_there = threading.Barrier(8)
def hold():
    libc.malloc(1000)
    all_there.wait()
threads = [threading.Thread(target=hold) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
with tempfile.NamedTemporaryFile() as file:
    out = ctypes.c_void_p(libc.fopen(file.name.encode(), b"w"))
    libc.malloc_info(0, out)
    libc.fclose(out)
    print(file.read().count(b"<heap "))
"""


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


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_threads_share_two_places_of_memory() -> None:
    def arenas(which: str) -> int:
        found = subprocess.run(
            [sys.executable, "-c", ARENAS, which], capture_output=True, text=True, check=True
        )
        return int(found.stdout)

    assert arenas("many") > 2
    assert arenas("few") <= 2
