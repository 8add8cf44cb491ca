"""What one change costs on each page: processor time, bytes sent.

The server runs in a process of its own, and a visitor without a browser moves its sliders. Caches
are warm: each page is changed three times before it counts, and each change is to a budget that
was not seen before.
"""

from __future__ import annotations

import asyncio
import io
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
from PIL import Image
from streamlit import config
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Element
from streamlit.util import calc_hash

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


def _large(side: int) -> float:
    """Return the megabytes that a change of the budget sends of the elements that it changes."""
    rng = np.random.default_rng(0)
    picture = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (side, side), np.uint8)).save(picture, "PNG")
    # Where `streamlit run` puts it.
    sys.path.append(str(ROOT / "app"))
    config.set_option("global.disableWidgetStateDuplicationWarning", True)
    at = AppTest.from_file(ROOT / "app" / "script.py", default_timeout=600)
    at._page_hash = calc_hash("compare")
    at.query_params.update({"target": "upload", "side": str(side)})
    at.run()
    at.file_uploader(key="file").set_value(("noise.png", picture.getvalue(), "image/png")).run()

    def drawn(rank: int) -> dict[bytes, int]:
        at.slider(key="rank").set_value(rank).run()
        assert not at.exception
        protos = [node.proto for node in at._tree if isinstance(node, Element)]
        return {proto.SerializeToString(): proto.ByteSize() for proto in protos}

    before, after = drawn(40), drawn(41)
    return sum(size for data, size in after.items() if data not in before) / 1e6


def run() -> dict[str, Any]:
    """Measure a change of the budget at 512², four families, and a look at a race."""
    found: dict[str, Any] = {"compare at 2048²": {"MB": _large(2048)}}
    with _metered() as server:
        pages = ("compare", "what_if", "your_weights")
        found |= {page: asyncio.run(_page(server, page)) for page in pages}
        for page, seen in SEEN.items():
            found[f"{page}, all seen"] = asyncio.run(_page(server, page, *seen))
        return found | asyncio.run(_race(server))
