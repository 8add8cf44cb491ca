"""Fine-tune: several methods race on one task, live."""

import streamlit as st

from app.shared import address, glossary
from app.shared.progress import visitor
from app.views.fine_tune import (
    buttons,
    figures,
    heartbeat,
    opening,
    parts,
    race_end,
    rates_part,
    updates,
)
from app.views.fine_tune.jobs import Race
from app.views.fine_tune.settings import SETTINGS
from app.views.fine_tune.warm_up import warm_up

_INTRODUCTION = (
    "Pick a task and methods in the sidebar, then press Start. All methods learn from the same "
    "examples in the same order, and you watch their loss fall side by side. You can look at other "
    "pages meanwhile; close the tab, and the training ends."
)
#: The answer, and how sure it is.
_COLUMNS = (3, 2)


def _live(drawn: Race | None, polled: bool) -> None:
    """Draw the race; what is clicked in here runs this function alone."""
    race = heartbeat.RACE.value
    if race is not drawn or (polled and race is not None and race.moment.waits):
        st.rerun()
    if race is None:
        answer, _ = st.columns(_COLUMNS, gap="large")
        answer.markdown(_INTRODUCTION)
        buttons.draw(None, ended=False)
        return
    race.beat(visitor())
    # Asked once: whatever is drawn in this run is of the same moment.
    ended = race.ended
    _answer(race, ended=ended)
    buttons.draw(race, ended=ended)
    # One place, however many sentences: what comes after is not drawn anew.
    with st.container():
        parts.status(race, ended=ended)
    parts.curves(race)
    updates.draw(race)
    race_end.table(race)
    # Without a face: further up it would leave a gap.
    address.write("fine_tune", SETTINGS, key="address_of_race")
    if ended:
        compare, downloads = st.columns(2, gap="large")
        with compare:
            race_end.open_in_compare(race)
        with downloads:
            race_end.downloads(race)
        if polled:
            # Nothing more will come: ends the polling, and changes nothing that is seen.
            st.rerun()


def _answer(race: Race, *, ended: bool) -> None:
    verdict = race_end.verdict(race, ended=ended)
    answer, stamp = st.columns(_COLUMNS, gap="large")
    with answer:
        st.markdown(verdict.answer)
        if ended:
            race_end.facts(race)
    with stamp:
        st.html(figures.stamp(verdict.stamp))
        st.caption(verdict.meaning, help=race_end.interval(race))


def page() -> None:
    """Draw the page."""
    warm_up()
    with st.sidebar:
        parts.settings()
    race = heartbeat.RACE.value
    # Asked once, before it is drawn: whatever changes meanwhile is seen by the next look.
    moment = None if race is None else race.moment
    moves = moment is not None and not moment.waits and not moment.ended
    searching = rates_part.searches(race)
    # Below, a search holds up this run of the page; a click in a fragment would wait for its end.
    if searching:
        _live(race, polled=False)
    else:
        st.fragment(_live, run_every=heartbeat.POLL if moves else None)(race, moves)
    if race is not None and moment is not None and moment.waits:
        heartbeat.watch(race, moment)
    glossary.words("adapter", "LoRA", "ΔW", "learning rate", "early stopping", "seed", "spread")
    opening.draw(folded=race is not None)
    rates_part.draw(searching=searching, racing=race is not None and not race.ended)


page()
