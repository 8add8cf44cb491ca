"""A class of visitors at once: real websockets from this process, the app in others.

``python -m benchmarks.load --visitors 60 --seconds 300 --workers 2`` is the class that a host with
two cores should hold. Each visitor opens Compare, then changes the budget, the target or the page
every few seconds; of six, one trains meanwhile, and one sweeps grids that nobody has swept. What
Compare says is compared with the library's own answer.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import cache
from itertools import cycle, islice, product
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer

from benchmarks.browser import summary
from benchmarks.visitor import Answer, Visitor, visit
from lolora_core import FAMILIES, budget_for_rank, decompose
from lolora_core.approximate import Decomposition
from lolora_core.common.threads import one_thread
from lolora_core.targets import entry
from lolora_core.targets import load as load_target
from tests.browser.serving import ROOT, started

__all__ = ["Seen", "check", "come", "run"]

#: The place of each in the list that a visitor picks from; all 512² photographs.
TARGETS = ("camera", "astronaut", "brick")
OTHER_PAGES = ("what_if", "your_weights", "theory", "")
#: A race of a second or two, once it has a place.
RACE = "ft_task=planted-blocks&ft_methods=global&ft_methods=localized&ft_steps=400&ft_seed={seed}"
SWEEP = "target=power-law&power-law.size=256&power-law.seed={seed}"
GRID = 8
RANKS = range(8, 97)
#: Seconds between two changes of a visitor.
PAUSE = (2.0, 6.0)
#: Seconds within which all come.
ARRIVE = 30.0
#: Between two looks at a race, as the page does.
_POLL = 1.0
#: Between two looks at the memory.
_LOOK = 5.0
_COMPARE = "target={}&rank={}"
_OVER = re.compile("Finished|Stopped|Failed|ended")
_VERDICT = re.compile(
    r"\*\*(\w+) comes closest\.\*\* Its error is ([\d.]+); the next best is (\w+) with ([\d.]+)\."
)


@dataclass
class Seen:
    """What visitors saw.

    Attributes
    ----------
    opened, pictured, ended : list of float
        Seconds until the first page was drawn, from a change to the new pictures, and to the end of
        what it draws.
    megabytes : list of float
        That a change sent.
    faults : Counter
        Errors on pages, runs that failed, answers that the library contradicts.
    checked : int
        Answers that were compared.
    swept, trained : list of float
        Seconds that sweeps and races took, waits in the line included.
    """

    opened: list[float] = field(default_factory=list)
    pictured: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    checked: int = 0
    swept: list[float] = field(default_factory=list)
    trained: list[float] = field(default_factory=list)

    def take(self, answer: Answer) -> None:
        """Note what a change brought."""
        self.ended.append(answer.seconds)
        self.megabytes.append(answer.megabytes)
        if answer.pictures is not None:
            self.pictured.append(answer.pictures)
        self.faults.update(answer.faults)


@cache
def _decomposed(target: str) -> Decomposition:
    return decompose(load_target(target).array, grid=GRID)


@cache
def _errors(target: str, rank: int) -> dict[str, float]:
    svd = _decomposed(target)
    budget = budget_for_rank(svd.grid.shape, rank)
    return {
        name: svd.approximate(name, budget=budget).relative_error
        for name in FAMILIES
        if name != "hybrid"
    }


def check(text: str, target: str, rank: int) -> str:
    """Return what is wrong with the sentence on top of Compare, or nothing.

    Parameters
    ----------
    text : str
        Of the page.
    target : str
    rank : int
        Equivalent rank of the budget.

    Returns
    -------
    str
    """
    found = _VERDICT.search(text)
    if found is None:
        return "no verdict"
    errors = _errors(target, rank)
    first, second = sorted(errors, key=errors.__getitem__)[:2]
    said = (found[1].lower(), found[3].lower())
    if said != (first, second):
        return f"{target}, r = {rank}: {said}, not {(first, second)}"
    for name, shown in ((first, found[2]), (second, found[4])):
        half = 0.51 * 10.0 ** -len(shown.partition(".")[2])
        if abs(float(shown) - errors[name]) > half:
            return f"{target}, r = {rank}: {name} {shown}, not {errors[name]:.5f}"
    return ""


async def _away(visitor: Visitor, seen: Seen, seed: int, dice: random.Random) -> None:
    """Look at another page for a while: some train there, some sweep."""
    began = time.monotonic()
    if seed % 6 == 1:
        await visitor.open("fine_tune", RACE.format(seed=dice.randrange(10**6)))
        answer = await visitor.press("ft_start")
        while not _OVER.search(answer.text):
            seen.faults.update(answer.faults)
            await asyncio.sleep(_POLL)
            answer = await visitor.poll()
        if "Finished" not in answer.text:
            seen.faults[answer.text] += 1
        seen.trained.append(time.monotonic() - began)
        # The run of the whole page that ends the polling.
        await visitor.open("fine_tune")
    elif seed % 6 == 2:
        answer = await visitor.open("what_if", SWEEP.format(seed=dice.randrange(10**6)))
        seen.faults.update(answer.faults)
        seen.swept.append(time.monotonic() - began)
    else:
        seen.take(await visitor.open(dice.choice(OTHER_PAGES)))
    await asyncio.sleep(dice.uniform(*PAUSE))


async def come(
    url: str,
    seen: Seen,
    seconds: float,
    seed: int,
    pause: tuple[float, float],
    arrive: float = 0.0,
) -> None:
    """Visit for a while, and change something now and then.

    Parameters
    ----------
    url : str
    seen : Seen
        Is added to.
    seconds : float
        From the first page on; one change is made at least.
    seed : int
    pause : (float, float)
        Seconds between changes, from and to.
    arrive : float
        It comes within so many seconds.
    """
    dice, target, rank = random.Random(seed), 0, 32
    await asyncio.sleep(dice.uniform(0, arrive))
    async with visit(url) as visitor:
        answer = await visitor.open("compare")
        seen.opened.append(answer.seconds)
        seen.faults.update(answer.faults)
        until, change = time.monotonic() + seconds, 0
        while change == 0 or time.monotonic() < until:
            change += 1
            await asyncio.sleep(dice.uniform(*pause))
            what = dice.random()
            if what < 0.1:
                await _away(visitor, seen, seed, dice)
                answer = await visitor.open("compare", _COMPARE.format(TARGETS[target], rank))
            elif what < 0.3:
                target = dice.randrange(len(TARGETS))
                answer = await visitor.set("target", string_value=entry(TARGETS[target]).title)
            else:
                rank = dice.choice(RANKS)
                answer = await visitor.set("rank", double_array_value=[float(rank)])
            seen.take(answer)
            seen.checked += 1
            wrong = check(answer.text, TARGETS[target], rank)
            if wrong:
                seen.faults[wrong] += 1


async def _class(
    urls: list[str], visitors: int, seconds: float, pause: tuple[float, float], seen: Seen
) -> None:
    for url in urls:
        # The teacher has looked at it before.
        async with visit(url) as teacher:
            for page in ("compare", "what_if", "fine_tune"):
                await teacher.open(page)
    async with asyncio.TaskGroup() as group:
        for seed, url in enumerate(islice(cycle(urls), visitors)):
            group.create_task(come(url, seen, seconds, seed, pause, ARRIVE))


class _Memory(threading.Thread):
    """The most that processes and their children held together, in MB.

    A page of memory that processes share counts once. A look stops each process for some 30 ms.
    """

    def __init__(self, processes: list[int]) -> None:
        super().__init__(daemon=True)
        self._roots = [psutil.Process(number) for number in processes]
        self._over = threading.Event()
        self.peak = self.now()

    def now(self) -> float:
        """Return what they hold at this moment."""
        held = 0
        for root in self._roots:
            for process in (root, *root.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    held += process.memory_full_info().pss
        return held / 1e6

    def run(self) -> None:
        """Look until `close`."""
        while not self._over.wait(_LOOK):
            self.peak = max(self.peak, self.now())

    def close(self) -> None:
        """Look no more, after a last time."""
        self._over.set()
        self.join()
        self.peak = max(self.peak, self.now())


def run(
    visitors: int = 12, seconds: float = 30.0, workers: int = 2, rest: float = 0.0
) -> dict[str, Any]:
    """Let a class visit the app.

    Parameters
    ----------
    visitors : int
    seconds : float
        How long they stay, once their first page is there.
    workers : int
        Processes that serve the app, as ``lolora serve --workers`` starts them.
    rest : float
        Seconds from the last one's leaving to the last look at the memory.

    Returns
    -------
    dict
    """
    seen = Seen()
    # Now, because it would take the servers' cores while they are looked at.
    with one_thread():
        for target, rank in product(TARGETS, RANKS):
            _errors(target, rank)
    with ExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(workers)]
        servers = [
            stack.enter_context(started(ROOT / "app" / "main.py", folder, LOLORA_HOSTED="1"))
            for folder in folders
        ]
        urls = [url for url, _, _ in servers]
        memory = _Memory([process.pid for _, _, process in servers])
        memory.start()
        asyncio.run(_class(urls, visitors, seconds, PAUSE, seen))
        memory.close()
        for _, log, _ in servers:
            seen.faults.update(f"log: {line}" for line in _errors_in(log))
        left = memory.now()
        time.sleep(rest)
        rested = memory.now()
    return {
        "visitors, workers": f"{visitors}, {workers}",
        "first page, s": summary(seen.opened),
        "change to pictures, s": summary(seen.pictured),
        "change to the end of the page, s": summary(seen.ended),
        "a change, MB": summary(seen.megabytes),
        "changes": len(seen.ended),
        "answers compared with the library": seen.checked,
        "a sweep, s": summary(seen.swept) if seen.swept else None,
        "a race, s": summary(seen.trained) if seen.trained else None,
        "peak memory, MB": memory.peak,
        "memory when they had left, MB": left,
        f"memory {rest:.0f} s later, MB": rested,
        "faults": dict(seen.faults),
    }


def _errors_in(log: Path) -> list[str]:
    lines = log.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if '"level": "error"' in line or "Traceback" in line]


def main(
    visitors: Annotated[int, typer.Option(min=1)] = 12,
    seconds: Annotated[float, typer.Option(min=1, help="How long they stay.")] = 30.0,
    workers: Annotated[int, typer.Option(min=1, help="Processes that serve the app.")] = 2,
    rest: Annotated[float, typer.Option(min=0, help="Until memory is looked at again.")] = 0.0,
) -> None:
    """Let a class visit the app; JSON out. Example: python -m benchmarks.load --visitors 60."""
    typer.echo(json.dumps(run(visitors, seconds, workers, rest), indent=2, ensure_ascii=False))


if __name__ == "__main__":
    typer.run(main)
