"""The race of a visitor: found again after a reload, kept alive and shown on other pages."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from app.shared.components import component
from app.shared.progress import visitor
from app.shared.settings import Slot, widget_value
from app.views.fine_tune import jobs
from app.views.fine_tune import sentences as prose
from app.views.fine_tune.jobs import Race
from app.views.fine_tune.moment import Moment

__all__ = ["LOST", "POLL", "RACE", "draw", "reclaim", "watch"]

#: Seconds between two looks at a race; at 0.25 training was measured three times slower.
POLL = 1.0
RACE: Slot[Race | None] = Slot("race", None)
#: The race that this tab remembers is not held any more.
LOST: Slot[bool] = Slot("race_lost", False)

_KEY = "reclaim"
_COMPONENT = component("reclaim", Path(__file__).parent / "reclaim.js")


def _found() -> None:
    key = (widget_value(_KEY) or {}).get("race")
    if key and RACE.value is None:
        RACE.set(jobs.held(str(key)))
        LOST.set(RACE.value is None)


def reclaim() -> None:
    """Let the tab remember its race; after a reload, take it up again."""
    race = RACE.value
    _COMPONENT(
        key=_KEY,
        data={"race": race.key if race else "", "forget": LOST.value},
        on_race_change=_found,
    )


def draw() -> None:
    """Draw the state of the race, if there is one, and look again every second while it runs."""
    race = RACE.value
    if race is None:
        return
    active = not race.ended
    st.fragment(_look, run_every=POLL if active else None)(race, active)


def watch(race: Race, drawn: Moment) -> None:
    """Look every second whether a race that waits has changed, and draw nothing until it has.

    In a class many wait at a time, and to draw a whole race takes 45 to 70 ms of the processor.
    """
    st.fragment(_watch, run_every=POLL)(race, drawn)


def _watch(race: Race, drawn: Moment) -> None:
    race.beat(visitor())
    if race.moment != drawn:
        st.rerun()


def _look(race: Race, active: bool) -> None:
    race.beat(visitor())
    if race.ended:
        if active:
            # Ends the polling on this page, and draws what a page shows at the end.
            st.rerun()
        st.caption(f"Fine-tune: {race.state}.")
        return
    share, _ = race.progress
    st.progress(min(1.0, share), prose.short_state(race))
