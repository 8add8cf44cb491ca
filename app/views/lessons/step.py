"""One step of a lesson: text, controls, figures, question, and the way on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from app.shared import address, share
from app.shared.common import COLS, RANK, ROWS, TARGET, UPLOAD
from app.shared.declared import pages
from app.shared.notices import say_error
from app.shared.settings import Setting, set_widget, widget_value
from app.shared.uploads import uploaded
from app.views.lessons import parts, question, sentences
from app.views.lessons.answer import filled
from app.views.lessons.lesson import PAGES, Lesson, Step
from app.views.lessons.measures import Looked
from app.views.lessons.moved import read_moved, with_moved, write_moved
from app.views.lessons.scenes import full_state, scene_of
from app.views.lessons.settings import LESSON, MOVED, STEP
from lolora_core.targets import Target

__all__ = ["draw", "looked_at", "upload_here", "wants_upload"]


def wants_upload(lesson: Lesson) -> bool:
    """Return whether any step looks at the reader's own picture."""
    return any(step.state.get(TARGET.key) == UPLOAD for step in lesson.steps)


def looked_at(
    step: Step, moved: Mapping[str, Any], upload: Target | None = None
) -> dict[str, Looked]:
    """Return the states of a step by name; "" is its own, with what was moved.

    Raises
    ------
    ValueError
        A grid does not fit, or a pattern's numbers do not fit each other.
    """
    found = {}
    for name, other in {"": {}, **step.also}.items():
        # What was moved holds in the other states too, but where they say something else.
        asked = {**step.state, **moved, **other}
        full = full_state(_squared(asked, moved, other), pages()[step.page])
        has_target = any(setting.key == TARGET.key for setting in pages()[step.page])
        found[name] = Looked(full, scene_of(full, upload) if has_target else None)
    return found


def _squared(
    asked: dict[str, Any], moved: Mapping[str, Any], other: Mapping[str, Any]
) -> dict[str, Any]:
    """Let the block columns follow the block rows where only these were set anew."""
    for newer in (other, moved):
        if ROWS.key in newer and COLS.key not in newer:
            return {key: value for key, value in asked.items() if key != COLS.key}
    return asked


def _move(number: int, keys: tuple[str, ...], own: Mapping[str, Any]) -> None:
    """Keep in the link what was moved; a callback."""
    values = {key: widget_value(_widget(number, key)) for key in keys}
    MOVED.set(write_moved(with_moved(read_moved(MOVED.value), number, values, own)))
    STEP.set(number)


def _widget(number: int, key: str) -> str:
    return f"lesson_{LESSON.value}_{number}_{key}"


def _controls(step: Step, number: int, moved: Mapping[str, Any]) -> None:
    known = [setting.key for setting in pages()[step.page]]
    own = full_state(step.state, pages()[step.page])
    offered: list[Setting] = [s for s in (RANK, ROWS) if s.key in known and s.key not in step.hide]
    square = own.get(ROWS.key) == own.get(COLS.key)
    if ROWS in offered and not square:
        offered.append(COLS)
    # Only pages that look at a target: Fine-tune would train anew with every move.
    if not offered or TARGET.key not in known:
        return
    keys = tuple(setting.key for setting in offered)
    with st.container(key=f"lesson_controls_{number}"):
        for column, setting in zip(st.columns(len(offered)), offered, strict=True):
            now = moved.get(setting.key, own[setting.key])
            set_widget(_widget(number, setting.key), now)
            column.slider(
                "Blocks a side" if setting is ROWS and square else setting.label,
                setting.minimum,
                setting.maximum,
                step=setting.step,
                key=_widget(number, setting.key),
                help=setting.help,
                on_change=_move,
                args=(number, keys, own),
            )
        st.caption(sentences.MOVE)


def _go(page: str, state: Mapping[str, Any]) -> None:
    """Set up another page as the step has it and go there; a callback."""
    for setting in pages()[page]:
        setting.set(state[setting.key])
    address.go_to(f"views/{page}/page.py")


def _onward(step: Step, number: int, state: Mapping[str, Any]) -> None:
    with st.container(horizontal=True, gap="small"):
        st.button(
            "Go on freely",
            key=f"lesson_go_{number}",
            icon=":material/arrow_forward:",
            help=sentences.go_on(PAGES[step.page]),
            on_click=_go,
            args=(step.page, state),
        )
        with st.popover("Link to this step", type="tertiary", key=f"lesson_link_{number}"):
            query = {LESSON.key: [LESSON.value], STEP.key: [str(number)]}
            if MOVED.value:
                query[MOVED.key] = [MOVED.value]
            st.code(share.link(query), language=None, wrap_lines=True)


def draw(step: Step, number: int, upload: Target | None, *, on_paper: bool) -> None:
    """Draw one step.

    Parameters
    ----------
    step : Step
    number : int
        Counted from 1.
    upload : Target or None
        The reader's own picture.
    on_paper : bool
        For the handout: no controls and no answers.
    """
    key = f"lesson_{LESSON.value}_{number}"
    moved = {} if on_paper else read_moved(MOVED.value).get(number, {})
    with st.container(key=f"lesson_step_{number}"):
        st.header(f"{number}. {step.heading}", anchor=f"step-{number}")
        words = st.container()
        if not on_paper:
            _controls(step, number, moved)
        try:
            with st.spinner("Computing …"):
                looked = looked_at(step, moved, upload)
                words.markdown(filled(step.text, looked))
                if step.look:
                    words.markdown(f"**Look at:** {filled(step.look, looked)}")
                parts.show(step.show, step, looked, key, tell=step.question is None)
        except (ValueError, ModuleNotFoundError) as problem:
            st.error(sentences.cannot(str(problem)))
            return
        if on_paper:
            _paper(step, looked)
            return
        if step.question:
            asked = step.question
            question.ask(
                asked,
                looked,
                key,
                lambda: parts.show(asked.reveal, step, looked, f"{key}_revealed"),
            )
        if step.self_check:
            question.check(step.self_check, key)
        _onward(step, number, looked[""].state)


def _paper(step: Step, looked: Mapping[str, Looked]) -> None:
    if step.question:
        asked = filled(step.question.ask, looked)
        choices = step.question.options.values()
        st.markdown(sentences.on_paper("Predict first.", asked, choices))
    if step.self_check:
        options = [option.text for option in step.self_check.options]
        st.markdown(sentences.on_paper("Check yourself.", step.self_check.ask, options))


def upload_here() -> Target | None:
    """Draw what takes the reader's own picture; return it, or None before there is one."""
    st.caption(sentences.OWN_PICTURE)
    try:
        return uploaded()
    except (ValueError, TypeError) as problem:
        say_error(problem)
        return None
