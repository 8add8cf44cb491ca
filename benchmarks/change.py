"""What one change of the budget costs on each page: processor time of the server, bytes sent."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from pathlib import Path
from typing import Any

import psutil

from benchmarks.visitor import visit
from tests.browser.serving import ROOT, started

__all__ = ["run"]

CHANGES = 20
#: Parts of Compare that are computed when they come into sight.
SEEN = ("sight_curve", "sight_figures")


async def _cost(url: str, server: psutil.Process, page: str, *seen: str) -> dict[str, float]:
    async with visit(url) as visitor:
        answer = await visitor.open(page)
        for part in seen:
            answer = await visitor.set(part, json_value='{"seen": true}')
        spent, sent = [], []
        # The first changes fill caches that later ones, and other visitors, share.
        for at in range(-3, CHANGES):
            before = sum(server.cpu_times()[:2])
            answer = await visitor.set("rank", double_array_value=[40.0 + at])
            assert not answer.faults, answer.faults
            if at >= 0:
                spent.append(sum(server.cpu_times()[:2]) - before)
                sent.append(answer.megabytes)
    return {
        # The clock of the system ticks every 10 ms: a mean tells more than a median.
        "ms": 1000 * statistics.mean(spent),
        "MB": statistics.median(sent),
        "elements": float(len(answer.elements)),
    }


def run() -> dict[str, Any]:
    """Measure a change at 512², four families, with and without what lies below the pictures."""
    with (
        tempfile.TemporaryDirectory() as folder,
        started(ROOT / "app" / "main.py", Path(folder)) as (url, _, process),
    ):
        server = psutil.Process(process.pid)

        def cost(page: str, *seen: str) -> dict[str, float]:
            return asyncio.run(_cost(url, server, page, *seen))

        return {
            "Compare, pictures in sight": cost("compare"),
            "Compare, all seen": cost("compare", *SEEN),
            "What if": cost("what_if"),
            "Your weights": cost("your_weights"),
        }
