"""What one change costs on each page: processor time, bytes sent.

The server runs in a process of its own, and a visitor without a browser moves its sliders. Caches
are warm: each page is changed three times before it counts, and each change is to a budget that
was not seen before.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from benchmarks.metered import METER
from benchmarks.visitor import Answer, visit
from tests.browser.serving import ROOT, started

__all__ = ["run"]

CHANGES = 20
_WARM = 3
#: Parts of a page that are computed when they come into sight.
SEEN = {
    "compare": ("sight_curve", "sight_figures"),
    "your_weights": ("sight_adapter",),
}
#: Seconds between two looks at a race.
_POLL = 0.3


class _Server(NamedTuple):
    url: str
    process: psutil.Process
    log: Path

    def runs(self) -> list[float]:
        """Return the seconds of every script run so far."""
        return [float(line) for line in self.log.read_text().split()] if self.log.exists() else []


@contextmanager
def _metered() -> Iterator[_Server]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = folder / "runs"
        with started(
            ROOT / "app" / "main.py",
            folder,
            module="benchmarks.metered",
            PYTHONPATH=str(ROOT),
            **{METER: str(log)},
        ) as (url, _, process):
            yield _Server(url, psutil.Process(process.pid), log)


async def _measured(
    server: _Server, act: Callable[[int], Awaitable[Answer]], *, alone: bool = True
) -> dict[str, float]:
    """Return the cost of an act, which is told how often it was done.

    Parameters
    ----------
    server : _Server
    act : callable
    alone : bool
        Whether the server does nothing else meanwhile, so that its own time tells something.
    """
    spent, sent, runs = 0.0, [], 0
    for at in range(-_WARM, CHANGES):
        if at == 0:
            # The last run is written down after its end was sent.
            await asyncio.sleep(0.2)
            spent, runs = sum(server.process.cpu_times()[:2]), len(server.runs())
        answer = await act(at + _WARM)
        assert not answer.faults, answer.faults
        if at >= 0:
            sent.append(answer.megabytes)
    await asyncio.sleep(0.2)
    found = server.runs()[runs:]
    cost = {
        # The clock of the system ticks every 10 ms for the process: a mean tells more.
        "script, ms": 1000 * statistics.median(found),
        "server, ms": 1000 * (sum(server.process.cpu_times()[:2]) - spent) / CHANGES,
        "MB": statistics.median(sent),
        "elements": float(len(answer.elements)),
    }
    if not alone:
        del cost["server, ms"]
    return cost


async def _page(server: _Server, page: str, *seen: str) -> dict[str, float]:
    # Budgets that no visitor of this page had before.
    first = 70.0 if seen else 40.0
    async with visit(server.url) as visitor:
        await visitor.open(page)
        for part in seen:
            await visitor.set(part, json_value='{"seen": true}')
        return await _measured(
            server, lambda at: visitor.set("rank", double_array_value=[first + at])
        )


async def _race(server: _Server) -> dict[str, dict[str, float]]:
    async with visit(server.url) as visitor:
        await visitor.open("fine_tune", "ft_steps=5000")
        await visitor.press("ft_start")

        async def poll(at: int) -> Answer:
            await asyncio.sleep(_POLL)
            return await visitor.poll()

        running = await _measured(server, poll, alone=False)
        await visitor.press("ft_stop")
        await asyncio.sleep(3)
        await visitor.poll()
        await asyncio.sleep(1)
        ended = await _measured(server, lambda at: visitor.set("ft_log", bool_value=bool(at % 2)))
        return {"Fine-tune, polling": running, "Fine-tune, ended": ended}


def run() -> dict[str, Any]:
    """Measure a change of the budget at 512², four families, and a look at a race."""
    with _metered() as server:
        pages = ("compare", "what_if", "your_weights")
        found = {page: asyncio.run(_page(server, page)) for page in pages}
        for page, seen in SEEN.items():
            found[f"{page}, all seen"] = asyncio.run(_page(server, page, *seen))
        return found | asyncio.run(_race(server))
