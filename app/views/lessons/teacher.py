"""The teacher's form: makes a lesson of the states that were looked at, writes and loads files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from app.shared.declared import pages
from app.shared.settings import Slot, set_widget, widget_value
from app.views.lessons import draft, sentences
from app.views.lessons.lesson import PAGES, SHOWN, read_lesson
from app.views.lessons.shelf import LOADED, OWN
from lolora_core import FAMILIES

__all__ = ["draw"]

#: Steps of the draft, as a file holds them; the form changes only some of their fields.
_STEPS: Slot[tuple[dict[str, Any], ...]] = Slot("draft_steps", ())
_PROBLEM: Slot[str] = Slot("lesson_problem", "")
_MOST = 6


def _take() -> None:
    page = widget_value("draft_page")
    steps = (*_STEPS.value, draft.taken(page, pages()[page]))
    _STEPS.set(steps)
    _fill_step(len(steps) - 1, {**steps[-1], "show": _shown_first(page)})


def _shown_first(page: str) -> list[str]:
    return ["race"] if page == "fine_tune" else ["pictures", "errors"]


def _fill(key: str, value: Any) -> None:
    set_widget(f"draft_{key}", value)


def _fill_step(at: int, step: dict[str, Any]) -> None:
    _fill(f"{at}_heading", step.get("heading", ""))
    _fill(f"{at}_text", step.get("text", ""))
    _fill(f"{at}_look", step.get("look", ""))
    _fill(f"{at}_show", [item for item in step.get("show", ()) if item in SHOWN])
    _fill(f"{at}_ask", draft.FILE_ASKS if step.get("question") else draft.ASKS[0])


def _keep(words: str) -> dict[str, Any]:
    """Return what every field of the form has: its help, and a value that outlives the page."""
    return {"help": words, "persist_state": "session"}


def _drop() -> None:
    _STEPS.set(_STEPS.value[:-1])


def _load() -> None:
    """Open a lesson file, and put it into the form."""
    file = widget_value("lesson_file")
    if file is None:
        return
    try:
        lesson = read_lesson(file.getvalue(), file.name, pages())
    except ValueError as problem:
        _PROBLEM.set(str(problem))
        return
    _PROBLEM.set("")
    LOADED.set(lesson)
    found = draft.fields(lesson)
    for name in ("title", "audience", "minutes", "objectives"):
        _fill(name, found[name])
    _STEPS.set(tuple(found["steps"]))
    for at, step in enumerate(found["steps"]):
        _fill_step(at, step)


def _step(at: int, base: dict[str, Any]) -> dict[str, Any]:
    """Draw the fields of one step; return it as a file holds it."""
    with st.container(border=True):
        st.markdown(sentences.draft_step(at + 1, PAGES[base["page"]], base["state"]))
        heading = st.text_input(
            "Heading", key=f"draft_{at}_heading", **_keep(sentences.HEADING_HELP)
        )
        text = st.text_area("Text", key=f"draft_{at}_text", **_keep(sentences.TEXT_HELP))
        look = st.text_input(
            "What to look at", key=f"draft_{at}_look", **_keep(sentences.LOOK_HELP)
        )
        trains = base["page"] == "fine_tune"
        shown = st.multiselect(
            "Show",
            [name for name in SHOWN if (name in ("race", "updates")) == trains],
            format_func=SHOWN.__getitem__,
            key=f"draft_{at}_show",
            **_keep(sentences.SHOW_HELP),
        )
        asks = [*(draft.ASKS[:1] if trains else draft.ASKS)]
        if "question" in base:
            asks.append(draft.FILE_ASKS)
        kind = st.selectbox("Question", asks, key=f"draft_{at}_ask", **_keep(sentences.ASK_HELP))
        family = "global"
        if kind == "how large is the error":
            families = [name for name, found in FAMILIES.items() if found.from_spectra]
            family = st.selectbox(
                "Of family", families, key=f"draft_{at}_family", **_keep(sentences.ASK_HELP)
            )
    asked = base.get("question") if kind == draft.FILE_ASKS else draft.question(kind, family)
    # What the form cannot show, of other states, stays as the file has it.
    others = [item for item in base.get("show", ()) if item not in SHOWN]
    return {
        **base,
        "heading": heading,
        "text": text,
        "look": look,
        "show": [*shown, *others],
        "question": asked,
    }


def _form() -> str:
    """Draw the form; return the lesson file."""
    title = st.text_input("Title", key="draft_title", **_keep(sentences.TITLE_HELP))
    audience = st.text_input("For whom", key="draft_audience", **_keep(sentences.AUDIENCE_HELP))
    if widget_value("draft_minutes") is None:
        _fill("minutes", 10)
    minutes = st.number_input(
        "Minutes", 1, 120, key="draft_minutes", **_keep(sentences.MINUTES_HELP)
    )
    objectives = st.text_area(
        "Objectives, one a line", key="draft_objectives", **_keep(sentences.OBJECTIVES_HELP)
    )
    steps = [_step(at, base) for at, base in enumerate(_STEPS.value)]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "State of",
            list(PAGES),
            format_func=PAGES.__getitem__,
            key="draft_page",
            help="The page whose settings become a step, as you left them.",
        )
        st.button(
            "Take it as a step", key="draft_take", on_click=_take, disabled=len(steps) >= _MOST
        )
        st.button("Drop the last step", key="draft_drop", on_click=_drop, disabled=not steps)
    return draft.as_file(
        {
            "title": title,
            "audience": audience,
            "minutes": minutes,
            "objectives": objectives,
            "steps": steps,
        }
    )


def draw(open_lesson: Callable[[str], None]) -> None:
    """Draw the form, and what loads a lesson file.

    Parameters
    ----------
    open_lesson : callable
        Opens a lesson by its id; a callback.
    """
    st.header("For teachers", anchor=False)
    st.file_uploader(
        "Load a lesson file",
        type="json",
        key="lesson_file",
        on_change=_load,
        help=sentences.FILE_HELP,
    )
    if _PROBLEM.value:
        st.error(sentences.bad_file(_PROBLEM.value))
    with st.expander("Make a lesson", expanded=bool(_STEPS.value)):
        st.markdown(sentences.FORM)
        text = _form()
        if not _STEPS.value:
            st.caption(sentences.NO_STEPS)
            return
        try:
            lesson = read_lesson(text, "This lesson", pages())
        except ValueError as problem:
            st.warning(sentences.bad_file(str(problem)))
            return

        def try_it() -> None:
            LOADED.set(lesson)
            open_lesson(OWN)

        with st.container(horizontal=True):
            st.download_button(
                "Lesson file",
                lambda: draft.as_json(lesson),
                f"{lesson.id}.json",
                "application/json",
                on_click="ignore",
                key="draft_file",
            )
            st.button("Open it", key="draft_open", on_click=try_it)
