"""What the host allows a race: said before it starts, and kept by the clock."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from streamlit.testing.v1 import AppTest

from app.views.fine_tune import jobs, limits
from app.views.fine_tune.settings import STEPS
from lolora_core.training import Record, Run
from tests.app.test_pages import opened
from tests.app.views.fine_tune.race_tools import Make, finished, make, plan

__all__ = ["make"]


def test_more_steps_than_the_host_allows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOLORA_MAX_STEPS", "50")
    asked = replace(plan(), steps=51)
    with pytest.raises(ValueError, match="has 51 steps; this server runs at most 50"):
        jobs.start(asked, None)
    assert limits.refused(replace(asked, steps=50)) == ""


def test_a_race_that_would_take_too_long_says_how_to_get_below(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOLORA_MAX_RACE_SECONDS", "120")
    monkeypatch.setattr(limits, "seconds_a_step", lambda task: 0.02)
    asked = replace(plan(), methods=("global", "diagonal"), rates=(None, None), seeds=(0, 1))
    assert limits.refused(replace(asked, steps=1500)) == ""
    words = limits.refused(replace(asked, steps=3000))
    assert words.startswith("This race would take about 4 minutes: 2 methods × 2 seeds × 3,000")
    assert "at most 2 minutes. Choose fewer methods or seeds, or at most 1,500 steps." in words


def test_a_step_is_timed_on_this_machine() -> None:
    assert 0 < limits.seconds_a_step("planted-blocks") < 10
    assert limits.seconds_a_step.cache_info().currsize >= 1


def test_a_step_is_timed_as_a_race_makes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    advance = Run.__next__

    def noted(run: Run) -> Record:
        threads.append(torch.get_num_threads())
        return advance(run)

    monkeypatch.setattr(Run, "__next__", noted)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        limits.seconds_a_step.__wrapped__("planted-blocks")
    finally:
        torch.set_num_threads(before)
    # Step 0 is an evaluation alone; two threads took many times as long on a busy machine.
    assert 3 < len(threads) <= 31
    assert set(threads) == {1}


def test_a_race_is_ended_by_the_clock(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOLORA_MAX_RACE_SECONDS", "1e-9")
    race = finished(make(replace(plan(), steps=200)))
    assert race.state == "stopped"
    assert "The race ended after 0 s of training, the most that this server runs" in race.message
    assert race.lanes[0].records


def test_the_page_says_so_and_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOLORA_MAX_STEPS", "100")
    at: AppTest = opened("fine_tune").run()
    at.number_input(key=STEPS.key).set_value(101).run()
    at.button(key="ft_start").click().run()
    assert [error.value for error in at.error] == [
        "This race has 101 steps; this server runs at most 100. Set a smaller number of steps."
    ]
    assert not at.exception
    assert "race" not in at.session_state
