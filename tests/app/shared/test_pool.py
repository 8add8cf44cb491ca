"""The pool of processes: shared, stopped, lost and found, with real processes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cachetools import LRUCache, cached

from app.shared import pool, sentences
from app.shared.line import Line
from app.shared.places import ClusterPlace, ProcessPlace
from app.shared.pool import LostError, Pool
from lolora_core.blocks.gram import gram_spectra
from lolora_core.blocks.grid import Grid
from tests.app.shared import pool_work


class StopHereError(BaseException):
    """As Streamlit's, no Exception."""


@pytest.fixture(scope="module")
def line() -> Line:
    return Line(1)


@pytest.fixture(scope="module")
def one(line: Line) -> Iterator[Pool]:
    """One process for all tests: to start one takes seconds."""
    made = Pool(line, [ProcessPlace()], grace=0.2)
    yield made
    made.close()


def silent(share: float, words: str) -> None:
    pass


def do(
    on: Pool,
    function: Callable[..., Any],
    *arguments: Any,
    visitor: str = "a",
    progress: Callable[[float, str], None] = silent,
    reports: bool = False,
) -> Any:
    return on.call(
        function,
        arguments,
        key=(function, *map(str, arguments)),
        visitor=visitor,
        progress=progress,
        reports=reports,
    )


def until(file: Path) -> Callable[[float, str], None]:
    """Stop as soon as a file is there."""

    def stop(share: float, words: str) -> None:
        if file.exists() and file.read_text():
            raise StopHereError

    return stop


def test_answers_are_those_of_this_process(one: Pool) -> None:
    w = torch.randn(24, 16, dtype=torch.float64)
    grid = Grid.regular((24, 16), 4)
    found = do(one, gram_spectra, w, grid)
    np.testing.assert_array_equal(found.values, gram_spectra(w, grid).values)


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="Linux's")
@pytest.mark.parametrize("hosted", [False, True])
def test_pages_of_a_host_come_before_its_pool(
    hosted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOLORA_HOSTED", str(int(hosted)))
    made = Pool(Line(1), [ProcessPlace()])
    try:
        assert (do(made, os.sched_getscheduler, 0) == os.SCHED_IDLE) == hosted
        assert do(made, os.getpriority, os.PRIO_PROCESS, 0) == 15
    finally:
        made.close()


def test_errors_travel_as_the_sentences_they_are(one: Pool) -> None:
    with pytest.raises(ValueError, match=r"^The matrix is too thin\.$"):
        do(one, pool_work.fail)
    assert do(one, pool_work.doubled, 4) == 8


def test_a_process_of_the_pool_has_no_streamlit(one: Pool) -> None:
    # Those that hold what goes to the pool, the library aside.
    modules = [
        "app.shared.fits",
        "app.views.fine_tune.trainer",
        "app.views.lessons.trained",
        "app.views.scoreboard.scored",
        "app.views.your_weights.compute",
        "app.views.your_weights.overlaps",
    ]
    loaded = do(one, pool_work.loaded, modules)
    assert {"torch", *modules} <= {*loaded}
    assert [name for name in loaded if name.split(".")[0] in ("streamlit", "plotly")] == []


def test_a_process_is_warmed_before_its_work(one: Pool) -> None:
    assert do(one, pool_work.marked_by) is None
    one.warm(pool_work.mark)
    marked = do(one, pool_work.marked_by)
    assert marked is not None
    assert marked != str(os.getpid())


def test_work_that_hears_nothing_is_killed_and_its_place_made_anew(
    one: Pool, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    with pytest.raises(StopHereError):
        do(one, pool_work.hang, str(begun), progress=until(begun))
    # The only place: this waits for it.
    assert do(one, pool_work.doubled, 2) == 4
    with pytest.raises(ProcessLookupError):
        os.kill(int(begun.read_text()), 0)


def test_work_that_reports_ends_by_itself_and_its_process_stays(one: Pool, tmp_path: Path) -> None:
    begun, heard = tmp_path / "begun", []

    def stop(share: float, words: str) -> None:
        heard.append((share, words))
        if words:
            raise StopHereError

    with pytest.raises(StopHereError):
        do(one, pool_work.reporting, str(begun), progress=stop, reports=True)
    assert heard[-1] == (0.25, "a quarter")
    again = tmp_path / "again"
    with pytest.raises(StopHereError):
        do(one, pool_work.reporting, str(again), progress=until(again), reports=True)
    assert again.read_text() == begun.read_text()


def test_a_process_that_is_killed_is_a_sentence(one: Pool, tmp_path: Path) -> None:
    begun = tmp_path / "begun"

    def kill(share: float, words: str) -> None:
        if begun.exists() and (pid := begun.read_text()):
            begun.unlink()
            os.kill(int(pid), signal.SIGKILL)

    with pytest.raises(LostError, match="Press Continue to try again"):
        do(one, pool_work.hang, str(begun), progress=kill)
    assert do(one, pool_work.doubled, 3) == 6


def test_equal_work_of_two_visitors_is_done_once(one: Pool, tmp_path: Path) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    both = threading.Barrier(2, action=gate.touch)

    def meet(share: float, words: str) -> None:
        if not gate.exists():
            both.wait()

    with ThreadPoolExecutor(2) as visitors:
        asked = [
            visitors.submit(
                do, one, pool_work.count, str(log), str(gate), visitor=v, progress=meet
            )
            for v in "ab"
        ]  # fmt: skip
        assert [future.result() for future in asked] == [1, 1]


def test_who_stops_shared_work_does_not_stop_the_other(one: Pool, tmp_path: Path) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    both = threading.Barrier(2)

    def go(share: float, words: str) -> None:
        both.wait()
        raise StopHereError

    def stay(share: float, words: str) -> None:
        if not gate.exists():
            both.wait()
            gate.touch()

    with ThreadPoolExecutor(2) as visitors:
        asked = [
            visitors.submit(do, one, pool_work.count, str(log), str(gate), visitor=v, progress=p)
            for v, p in (("a", go), ("b", stay))
        ]
        with pytest.raises(StopHereError):
            asked[0].result()
        assert asked[1].result() == 1


def test_the_place_in_line_is_told_and_a_stop_leaves_the_line(one: Pool, line: Line) -> None:
    assert line.enter("race", "other") == 0
    heard: list[str] = []

    def stop(share: float, words: str) -> None:
        heard.append(words)
        raise StopHereError

    with pytest.raises(StopHereError):
        do(one, pool_work.doubled, 1, progress=stop)
    with pytest.raises(StopHereError):
        do(one, pool_work.doubled, 1, visitor="other", progress=stop)
    assert heard == ["waiting for a place: 1 before you", sentences.OWN_FIRST]
    line.leave("race")
    assert do(one, pool_work.doubled, 1) == 2


def test_a_cached_function_is_filled_and_not_called(
    one: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[float] = []

    @cached(LRUCache(4), condition=threading.Condition())
    def twice(number: float) -> float:
        called.append(number)
        return 2 * number

    monkeypatch.setattr(pool, "_pool", lambda: one)
    with pool.visiting("a"):
        for _ in range(2):
            assert pool.kept_call(twice, (5,), pool_work.doubled, 5, progress=silent) == 10
    assert called == []
    assert twice(5) == 10
    assert called == []
    # Without a visitor nobody could stop it in the pool.
    assert pool.kept_call(twice, (6,), pool_work.doubled, 6, progress=silent) == 12
    assert called == [6]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_cluster_takes_the_place_of_the_pool(tmp_path: Path) -> None:
    import distributed  # slow to load

    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
    ) as cluster:
        places = ClusterPlace.at(cluster.scheduler_address, 1)
        made = Pool(Line(1), places)
        assert do(made, pool_work.doubled, 7) == 14
        with pytest.raises(ValueError, match=r"^The matrix is too thin\.$"):
            do(made, pool_work.fail)
        log, gate = tmp_path / "log", tmp_path / "gate"
        with pytest.raises(StopHereError):
            do(made, pool_work.count, str(log), str(gate), progress=until(log))
        # A thread cannot be killed: it is only not waited for.
        assert do(made, pool_work.doubled, 8) == 16
        gate.touch()
        made.close()
