"""Fine-tune: several methods race on one task, live."""

import streamlit as st

from app.shared import address
from app.views.fine_tune import heartbeat, jobs, parts, race_end
from app.views.fine_tune.jobs import Race
from app.views.fine_tune.settings import SETTINGS

_INTRODUCTION = (
    "Choose a task and methods in the sidebar, then Start: all methods learn from the same "
    "examples in the same order, and their curves grow side by side. Training goes on while you "
    "look at other pages of this app; it holds and then ends when its tab is closed."
)


def _live(race: Race, active: bool) -> None:
    race.beat()
    if active and race.ended:
        st.rerun()
    # What is picked in here runs this function alone.
    address.write("fine_tune", SETTINGS, key="address_of_race")
    # One place, however many sentences: what comes after is not drawn anew.
    with st.container():
        parts.status(race)
    parts.curves(race)
    parts.deltas(race)
    race_end.table(race)


def page() -> None:
    """Draw the page."""
    jobs.warm_up()
    answer = st.empty()
    with st.sidebar:
        parts.settings()
    race = heartbeat.RACE.value
    # Asked once: a race that ends from here on is looked at again, and the buttons follow.
    active = race is not None and not race.ended
    parts.buttons(race, active=active)
    if race is None:
        answer.markdown(_INTRODUCTION)
    else:
        answer.markdown(race_end.verdict(race))
        st.fragment(_live, run_every=heartbeat.POLL if active else None)(race, active)
        if not active:
            compare, downloads = st.columns(2, gap="large")
            with compare:
                race_end.open_in_compare(race)
            with downloads:
                race_end.downloads(race)


page()
