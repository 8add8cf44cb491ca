"""The parts of Fine-tune: settings, where a race stands, its curves."""

from __future__ import annotations

import streamlit as st

from app.shared import answers, sidebar
from app.shared import widgets as controls
from app.shared.notices import say_error, say_warnings
from app.views.fine_tune import figures as figures_training
from app.views.fine_tune import sentences as words
from app.views.fine_tune import snippets
from app.views.fine_tune.jobs import Race
from app.views.fine_tune.settings import (
    CURVE,
    GRID,
    LOG,
    PICKED,
    RANK,
    SEED,
    SEEDS,
    STEPS,
    TASK,
    rate_setting,
)
from lolora_core.training import METHODS, TASKS, Method

__all__ = ["curves", "settings", "status"]


def settings() -> None:
    """Draw everything that a race is made from, in the sidebar."""
    task = TASKS[controls.choice(TASK)]
    st.caption(task.description)
    missing = task.requires()
    if missing:
        st.warning(f"{missing}.")
    with st.popover("Source", width="stretch"):
        st.markdown(task.source)
    picked = controls.several(PICKED)
    st.caption(words.what_methods_train({name: METHODS[name].summary for name in picked}))
    rank, grid = controls.slider(RANK), controls.number(GRID)
    left, right = st.columns(2)
    with left:
        controls.number(SEED)
    with right:
        controls.number(SEEDS)
    controls.number(STEPS, placeholder=f"{task.steps}, the task's own")
    with st.expander("Learning rates"):
        st.caption(words.RATES)
        for name in picked:
            own = _library_rate(name, rank, grid, task.name)
            controls.number(rate_setting(name), placeholder=own, format="%g")
    sidebar.device()


def _library_rate(name: str, rank: int, grid: int, task: str) -> str:
    try:
        return f"{Method(name, rank=rank, grid=grid).learning_rate(task):g}"
    except ImportError as problem:
        return str(problem)


def status(race: Race, *, ended: bool) -> None:
    """Draw where a race stands, and what went wrong."""
    share, _ = race.progress
    if not ended:
        st.progress(min(1.0, share), words.state(race))
    elif race.message:
        say_error(race.message)
    else:
        st.caption(words.state(race))
    say_warnings(words.problems(race))


def _gathered(race: Race, field: str) -> list[figures_training.LossCurve]:
    made = []
    for method in race.plan.methods:
        runs: list[tuple[tuple[int, ...], tuple[float, ...], bool]] = []
        for lane in race.lanes_of(method):
            pairs = [
                (record.step, getattr(record, field))
                for record in list(lane.records)
                if getattr(record, field) is not None
            ]
            if pairs and not (lane.problem and runs):
                steps, values = zip(*pairs, strict=True)
                runs.append((steps, values, lane.outcome is not None))
        if runs:
            made.append(figures_training.gather(method, runs))
    return made


def curves(race: Race) -> None:
    """Draw loss and metric of all methods over the steps."""
    task = TASKS[race.plan.task]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        split = controls.segments(CURVE)
        logarithmic = controls.toggle(LOG)
    trained = split == "training"
    shown = (
        ("train_loss" if trained else "eval_loss", f"{split} loss", True, logarithmic),
        ("metric", f"validation {task.metric_name}", not task.higher_is_better, False),
    )
    for column, (field, title, least, log) in zip(st.columns(2), shown, strict=True):
        with column:
            found = _gathered(race, field)
            latest = {c.method: float(_newest(c)) for c in found}
            first = f"{title[0].upper()}{title[1:]}"
            answers.chart(
                figures_training.curves_figure(found, title, race.num_steps, logarithmic=log),
                key=f"ft_{field}",
                caption=words.curve_caption(race, first, latest, least=least),
                code=snippets.curves(race.plan, field),
            )


def _newest(curve: figures_training.LossCurve) -> float:
    return (curve.running[1] if curve.running else curve.mean)[-1]
