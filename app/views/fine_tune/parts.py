"""The parts of Fine-tune: settings, buttons, curves, ΔW, table, downloads."""

from __future__ import annotations

import numpy as np
import streamlit as st

from app.shared import scene as compute
from app.shared import sidebar
from app.shared import widgets as controls
from app.shared.common import DEVICE
from app.shared.settings import Slot
from app.views.fine_tune import figures as figures_training
from app.views.fine_tune import jobs
from app.views.fine_tune import sentences as words
from app.views.fine_tune.film import Frame
from app.views.fine_tune.heartbeat import LOST, RACE
from app.views.fine_tune.jobs import Race
from app.views.fine_tune.lanes import RacePlan
from app.views.fine_tune.settings import (
    CURVE,
    GRID,
    LOG,
    PICKED,
    RANK,
    SCALE,
    SEED,
    SEEDS,
    STEPS,
    TASK,
    rate_setting,
)
from lolora_core.training import TASKS, Method

__all__ = ["buttons", "curves", "deltas", "plan_of_settings", "settings", "status"]

_PROBLEM: Slot[str] = Slot("race_problem", "")
# Pixels on the screen: a tall ΔW must not fill a page.
_NARROWEST, _WIDEST, _HIGHEST = 128, 240, 320


def settings() -> None:
    """Draw everything that a race is made from, in the sidebar."""
    task = TASKS[controls.choice(TASK)]
    st.caption(task.description)
    missing = task.requires()
    if missing:
        st.warning(f"{missing}.")
    with st.popover("Source", width="stretch"):
        st.markdown(task.source)
    picked = controls.pills(PICKED)
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
        RACE.set(jobs.start(plan, RACE.value, replace=in_place))
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


def buttons(race: Race | None, *, active: bool) -> None:
    """Draw what starts, holds and ends a race; `active` is a race that had not ended before."""
    holds = race is not None and race.pausing
    with st.container(horizontal=True, gap="small"):
        st.button("Start", on_click=_start, key="ft_start", disabled=active,
                  type="secondary" if active else "primary",
                  help="Train the chosen methods side by side, from step 0.")  # fmt: skip
        for label, act, key, enabled, text in (
            ("Pause", Race.pause, "ft_pause", active and not holds, "Hold after the present step."),
            ("Step", Race.step, "ft_step", active, "One step of every method, then hold."),
            ("Resume", Race.resume, "ft_resume", active and holds, "Go on training."),
            ("Stop", Race.stop, "ft_stop", active, "End the race; what was trained is kept."),
        ):
            st.button(
                label,
                on_click=act,
                args=(race,),
                key=key,
                disabled=not enabled,
                help=text,
                type="primary" if active and label == "Stop" else "secondary",
            )
        st.button("Reset, same seed", on_click=_again, key="ft_again", disabled=race is None,
                  help="Train the same plan once more from step 0; on the CPU the numbers are the "
                  "same.")  # fmt: skip
        st.button("New seed", on_click=_new_seed, key="ft_new_seed",
                  help="Train from step 0 with the next seed that was not used.")  # fmt: skip
    # Said once: it no longer holds when the race has ended or a setting has changed.
    problem = _PROBLEM.take()
    if problem:
        st.error(problem)
    if LOST.value:
        st.info(words.NO_LONGER_HELD)
    if race is not None and race.plan != plan_of_settings():
        st.info(words.SETTINGS_CHANGED)


def status(race: Race) -> None:
    """Draw where a race stands, and what went wrong."""
    share, _ = race.progress
    if not race.ended:
        st.progress(min(1.0, share), words.state(race))
    elif race.message:
        st.error(race.message)
    else:
        st.caption(words.state(race))
    for sentence in words.problems(race):
        st.warning(sentence)


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
            st.plotly_chart(
                figures_training.curves_figure(found, title, race.num_steps, logarithmic=log),
                key=f"ft_{field}",
                config={"displayModeBar": False},
            )
            latest = {c.method: float(_newest(c)) for c in found}
            if latest:
                first = f"{title[0].upper()}{title[1:]}"
                st.caption(words.curve_caption(race, first, latest, least=least))


def _newest(curve: figures_training.LossCurve) -> float:
    return (curve.running[1] if curve.running else curve.mean)[-1]


def _frame(race: Race) -> tuple[Frame | None, str]:
    """Let the visitor choose a module, a scale, and go back to a snapshot."""
    first = race.film.at(0)
    if first is None:
        return None, ""
    modules = list(next(iter(first.deltas.values()), {}))
    left, middle, right = st.columns([2, 2, 3])
    with left:
        module = st.selectbox(
            "Adapted matrix", modules, key="ft_module", help="Whose update ΔW is shown."
        )
    with middle:
        controls.segments(SCALE)
    with right:
        step = st.slider(
            "Rewind to step", 0, race.num_steps, race.num_steps, key="ft_rewind",
            help="Shows the last snapshot at or before this step; at the right end the latest.",
        )  # fmt: skip
    return race.film.at(step), module or ""


def deltas(race: Race) -> None:
    """Draw the learned ΔW of every method on one scale, and their spectra."""
    st.header("Learned ΔW", anchor=False)
    frame, module = _frame(race)
    if frame is None:
        st.caption(words.FIRST_STEP)
        return
    names = race.plan.methods
    dense = {name: frame.deltas[name][module].dense() for name in names if name in frame.deltas}
    part: int = SCALE.value
    limit = race.film.limit(names, module) / part
    with st.container(horizontal=True, gap="small"):
        for name in names:
            _picture(name, dense.get(name), limit)
    shape = next(iter(dense.values())).shape if dense else (0, 0)
    _scale(limit)
    kept = [f.step for f in race.film.frames]
    seed = race.plan.seeds[0]
    st.caption(
        f"{words.update(module, shape, seed, frame.step)} {words.one_scale(limit, part)} "
        f"{words.snapshots(kept)}"
    )
    spectra = {
        name: compute.spectrum(matrix, race.key, frame.step, name, module)
        for name, matrix in dense.items()
    }
    st.plotly_chart(
        figures_training.spectra_figure(spectra),
        key="ft_spectra",
        config={"displayModeBar": False},
    )
    st.caption(f"{words.SPECTRA} {words.spectrum_facts(spectra)}")


def _picture(name: str, delta: np.ndarray | None, limit: float) -> None:
    rows, cols = (1, 1) if delta is None else delta.shape
    width = min(_WIDEST, max(24, _HIGHEST * cols // rows))
    with st.container(width=max(width, _NARROWEST)):
        if delta is None:
            st.caption(words.no_picture(name))
            return
        with st.container(width=width):
            png = figures_training.delta_png(delta, limit)
            st.html(figures_training.inline(png, f"ΔW of {name}"))
        st.caption(words.picture_facts(name, delta, limit))


def _scale(limit: float) -> None:
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.caption(f"−{limit:.3g}", width="content")
        with st.container(width=180):
            st.html(figures_training.inline(figures_training.scale_png(), "colour scale"))
        st.caption(f"{limit:.3g}", width="content")
