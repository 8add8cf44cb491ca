"""Loss over learning rate: a small search for the methods that are picked, and the experiment's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.shared import answers, experiment, learning, progress
from app.shared.notices import say_error, say_warnings
from app.shared.settings import Slot
from app.views.fine_tune import compute, limits, rate_search, snippets
from app.views.fine_tune import rates_words as words
from app.views.fine_tune.buttons import plan_of_settings
from app.views.fine_tune.jobs import Race
from app.views.fine_tune.lanes import RacePlan
from app.views.fine_tune.settings import PICKED, RANK, TASK, rate_setting
from lolora_core.training.experiment.findings import sensitivity
from lolora_core.training.rates import RATES

__all__ = ["draw", "searches"]

#: What the settings asked for, and what is searched: the same, with fewer steps if need be.
_ASKED: Slot[tuple[RacePlan, RacePlan] | None] = Slot("rates_asked", None)
_PROBLEM: Slot[str] = Slot("rates_problem", "")
_NAME = "rates"


def _of_settings() -> RacePlan:
    """Return what the settings ask of a search: one seed, and no rates."""
    plan = plan_of_settings()
    return replace(plan, rates=(None,) * len(plan.methods), seeds=plan.seeds[:1])


def _asked() -> RacePlan | None:
    """Return the search that was asked for, as long as the settings are those."""
    asked = _ASKED.value
    return asked[1] if asked is not None and asked[0] == _of_settings() else None


def _begin() -> None:
    wanted = _of_settings()
    try:
        _ASKED.set((wanted, replace(wanted, steps=limits.search_steps(wanted))))
    except (ValueError, ImportError, ConnectionError) as problem:
        _PROBLEM.set(str(problem))


def _use(rates: Mapping[str, float]) -> None:
    for method, rate in rates.items():
        rate_setting(method).set(rate)


def searches(race: Race | None) -> bool:
    """Return whether `draw` will search, and hold up this run of the page until it is done."""
    plan = _asked()
    if plan is None or (race is not None and not race.ended):
        return False
    return not progress.stopped(_NAME, plan) and not rate_search.is_done(plan)


def draw(*, searching: bool, racing: bool) -> None:
    """Draw the search and what the experiment knows.

    Parameters
    ----------
    searching : bool
        What `searches` said.
    racing : bool
        Whether a race is on: its methods and the search would be in each other's way.
    """
    st.header("Loss over learning rate", anchor=False)
    st.markdown(words.WHY)
    own, known = st.columns(2, gap="large")
    with known:
        _known()
    # Last: the search holds up what comes after it.
    with own:
        _own(searching=searching, racing=racing)


def _own(*, searching: bool, racing: bool) -> None:
    st.markdown("**With these settings**")
    wanted, plan = _of_settings(), _asked()
    if plan is None:
        asked = wanted.methods, RATES[0], RATES[-1], wanted.num_steps, wanted.seeds[0]
        st.caption(words.asked(*asked))
        st.button(
            "Search learning rates", on_click=_begin, key="ft_rates_search", disabled=racing,
            help="It can be stopped and then goes on where it was. Not while a race is on.",
        )  # fmt: skip
        if problem := _PROBLEM.take():
            say_error(problem)
        return
    if plan.num_steps < wanted.num_steps:
        st.caption(words.shorter(plan.num_steps, wanted.num_steps))
    bar, curves = st.container(), st.empty()
    with bar:
        if searching:
            _search(plan, curves)
        elif racing and not rate_search.is_done(plan):
            st.info(words.WAITS)
        elif not rate_search.is_done(plan):
            progress.stopped(_NAME, plan, words.STOPPED)
        if rate_search.is_done(plan):
            _found(plan)
    say_warnings(rate_search.problems(plan))
    with curves.container():
        _curves(plan, "ft_rates", with_code=True)


def _search(plan: RacePlan, curves: DeltaGenerator) -> None:
    drawn = 0

    def draw_curves() -> None:
        nonlocal drawn
        drawn += 1
        with curves.container():
            # A key each: Streamlit takes one only once in a run.
            _curves(plan, f"ft_rates_{drawn}")

    draw_curves()
    progress.with_stop(
        _NAME, plan, "Searching", lambda show: rate_search.search(plan, show, draw_curves)
    )


def _curves(plan: RacePlan, key: str, *, with_code: bool = False) -> None:
    found = rate_search.curves(plan)
    if found.empty:
        return
    names = tuple(found["method"].unique())
    code = snippets.search(replace(plan, methods=names, rates=(None,) * len(names)))
    begun = "" if rate_search.is_done(plan) else f"{words.BEGUN} "
    caption = f"{begun}{learning.rates_caption(found)} {words.ONE_SEED}"
    answers.chart(learning.rates_figure(found), key=key, caption=caption,
                  code=code if with_code else "")  # fmt: skip


def _found(plan: RacePlan) -> None:
    best = rate_search.best(plan)
    lost = [name for name in rate_search.curves(plan)["method"].unique() if name not in best]
    say_warnings([words.diverged(lost)] if lost else [])
    if best and all(rate_setting(name).value == rate for name, rate in best.items()):
        st.caption(words.IN_USE)
    elif best:
        st.button("Use these rates", on_click=_use, args=(best,), key="ft_rates_use",
                  help="Sets the learning rate of each of these methods.")  # fmt: skip


def _known() -> None:
    found = experiment.committed()
    rank = None if found is None else compute.measured_rank(found, TASK.value, RANK.value)
    if found is None or rank is None:
        return
    curves = sensitivity(found, TASK.value, rank)
    curves = curves[curves["method"].isin(PICKED.value)]
    if curves.empty:
        return
    st.markdown(f"**In the experiment, at r = {rank}**")
    answers.chart(
        learning.rates_figure(curves),
        key="ft_rates_known",
        caption=f"{learning.rates_caption(curves)} {words.KNOWN}",
        code=snippets.experiment_rates(TASK.value, rank),
    )
