"""On the other pages: tells a race that its visitor is still here, and shows its state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from app.views.fine_tune.jobs import Race

__all__ = ["POLL", "current", "draw"]

#: Seconds between two looks at a race; at 0.25 training was measured three times slower.
POLL = 1.0
RACE = "race"


def current() -> Race | None:
    """Return this visitor's race."""
    return st.session_state.get(RACE)


def draw() -> None:
    """Draw the state of the race, if there is one, and look again every second while it runs."""
    race = current()
    if race is None:
        return
    active = not race.ended
    st.fragment(_look, run_every=POLL if active else None)(race, active)


def _look(race: Race, active: bool) -> None:
    from app.views.fine_tune import sentences as prose

    race.beat()
    if race.ended:
        if active:
            # Ends the polling on this page, and draws what a page shows at the end.
            st.rerun()
        st.caption(f"Fine-tune: {race.state}.")
        return
    share, _ = race.progress
    st.progress(min(1.0, share), prose.short_state(race))
