"""What starts, holds and ends a race."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from app.shared.common import DEVICE
from app.shared.notices import say_error
from app.shared.progress import is_open, visitor
from app.shared.settings import Slot, reset
from app.views.fine_tune import jobs
from app.views.fine_tune import sentences as words
from app.views.fine_tune.heartbeat import LOST, RACE
from app.views.fine_tune.jobs import Race
from app.views.fine_tune.lanes import RacePlan
from app.views.fine_tune.settings import (
    GRID,
    PICKED,
    PLAN,
    RANK,
    SEED,
    SEEDS,
    STEPS,
    STORY,
    TASK,
    rate_setting,
)

__all__ = ["draw", "plan_of_settings", "tell"]

_PROBLEM: Slot[str] = Slot("race_problem", "")


def plan_of_settings() -> RacePlan:
    """Return what the settings ask for."""
    picked = [name for name in PICKED.options if name in PICKED.value]
    first = SEED.value
    return RacePlan(
        task=TASK.value,
        methods=tuple(picked),
        rates=tuple(rate_setting(name).value for name in picked),
        rank=RANK.value,
        grid=GRID.value,
        seeds=tuple(range(first, first + SEEDS.value)),
        steps=STEPS.value,
        device=DEVICE.value,
    )


def _begin(plan: RacePlan, *, in_place: bool) -> None:
    _PROBLEM.set("")
    try:
        RACE.set(jobs.start(plan, RACE.value, replace=in_place, visitor=visitor(), is_open=is_open))
        LOST.set(False)
    except (ValueError, ImportError, jobs.BusyError) as problem:
        _PROBLEM.set(str(problem))


def _start() -> None:
    _begin(plan_of_settings(), in_place=False)


def _again() -> None:
    race = RACE.value
    assert race is not None
    _begin(race.plan, in_place=True)


def _new_seed() -> None:
    race = RACE.value
    last = race.plan.seeds[-1] if race else SEED.value
    SEED.set((last + 1) % SEED.maximum)
    _begin(plan_of_settings(), in_place=True)


def tell() -> None:
    """Set what the first story needs, and start it; a callback."""
    reset(PLAN)
    for setting, value in STORY:
        setting.set(value)
    _begin(plan_of_settings(), in_place=True)


def _main_button(race: Race | None, *, ended: bool) -> tuple[str, Callable[[], None], str]:
    """Return label, act and help of the one button that starts, holds and goes on."""
    if race is None or ended:
        return "Start", _start, "Train the chosen methods side by side, from step 0."
    if race.pausing:
        return "Resume", race.resume, "Go on training."
    return "Pause", race.pause, "Hold after the present step."


def draw(race: Race | None, *, ended: bool) -> None:
    """Draw the buttons; `ended` is whether the race had ended when this run began."""
    active = race is not None and not ended
    label, act, text = _main_button(race, ended=ended)
    with st.container(horizontal=True, gap="small"):
        # A key each: a second click must not reach the button that took the place. For a moment
        # the browser holds both: side by side they would push Stop from under the pointer.
        with st.container(width=104):
            st.button(label, on_click=act, key=f"ft_{label.lower()}", help=text, type="primary",
                      width="stretch")  # fmt: skip
        st.button("Step", on_click=race.step if race else None, key="ft_step", disabled=not active,
                  help="One step of every method, then hold.")  # fmt: skip
        st.button("Stop", on_click=race.stop if race else None, key="ft_stop", disabled=not active,
                  help="End the race; what was trained is kept.")  # fmt: skip
        st.button("Reset, same seed", on_click=_again, key="ft_again", disabled=race is None,
                  help="Train the same plan once more from step 0; on the CPU the numbers are the "
                  "same.")  # fmt: skip
        st.button("New seed", on_click=_new_seed, key="ft_new_seed",
                  help="Train from step 0 with the next seed that was not used.")  # fmt: skip
    # Said once: it no longer holds when the race has ended or a setting has changed.
    problem = _PROBLEM.take()
    if problem:
        say_error(problem)
    if LOST.value:
        st.info(words.NO_LONGER_HELD)
    if race is not None and race.plan != plan_of_settings():
        st.info(words.SETTINGS_CHANGED)
