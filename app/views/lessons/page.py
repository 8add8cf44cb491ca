"""Lessons: the list, one that is open, and the teacher's form."""

from pathlib import Path

import streamlit as st

from app.shared import glossary, share
from app.shared import widgets as controls
from app.shared.components import component
from app.shared.settings import reset
from app.views.lessons import sentences, step, teacher
from app.views.lessons.lesson import Lesson
from app.views.lessons.settings import HANDOUT, LESSON, MOVED, SETTINGS, STEP
from app.views.lessons.shelf import OWN, bundled, by_id

_SCROLL = component("lesson_scroll", Path(__file__).parent / "scroll.js")


def _open(name: str) -> None:
    reset(SETTINGS)
    LESSON.set(name)


def _titled(name: str, lesson: Lesson) -> str:
    number = list(bundled()).index(name) + 1 if name in bundled() else None
    return f"{number}. {lesson.title}" if number else lesson.title


def _cards(shelf: dict[str, Lesson]) -> None:
    # Row by row: on a phone, where columns stack, they stay in order.
    columns = [column for _ in range(0, len(shelf), 2) for column in st.columns(2)]
    for column, (name, lesson) in zip(columns, shelf.items(), strict=False):
        with column.container(border=True):
            st.subheader(_titled(name, lesson), anchor=False)
            st.caption(sentences.about(lesson.minutes, len(lesson.steps), lesson.audience))
            st.markdown("\n".join(f"- {one}" for one in lesson.objectives))
            st.button("Open", key=f"open_{name}", on_click=_open, args=(name,))


def _list() -> None:
    st.markdown(sentences.INTRO)
    loaded = by_id(OWN)
    if loaded:
        st.header("Loaded in this session", anchor=False)
        _cards({OWN: loaded})
    for heading, least, most in sentences.LENGTHS:
        found = {n: one for n, one in bundled().items() if least <= one.minutes <= most}
        if found:
            st.header(heading, anchor=False)
            _cards(found)
    teacher.draw(_open)


def _lesson(lesson: Lesson) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="lesson_bar"):
        st.button(
            "All lessons",
            key="all_lessons",
            on_click=reset,
            args=(SETTINGS,),
            icon=":material/arrow_back:",
        )
        on_paper = controls.toggle(HANDOUT)
        st.button(
            "Undo moves",
            key="unmove",
            on_click=reset,
            args=((MOVED,),),
            disabled=not MOVED.value,
            help="Back to the budgets and grids of the lesson.",
        )
    st.header(_titled(LESSON.value, lesson), anchor=False)
    st.caption(sentences.about(lesson.minutes, len(lesson.steps), lesson.audience))
    st.markdown("\n".join(["**You will be able to**", "", *(f"- {o}" for o in lesson.objectives)]))
    if on_paper:
        st.caption(share.link({LESSON.key: [LESSON.value]}))
    else:
        st.markdown(sentences.contents([one.heading for one in lesson.steps]))
        glossary.words("matrix", "rank", "singular value", "relative error", "adapter", "ΔW")
    upload = step.upload_here() if step.wants_upload(lesson) else None
    for number, one in enumerate(lesson.steps, start=1):
        step.draw(one, number, upload, on_paper=on_paper)
    _SCROLL(key="lesson_scroll", data={"opened": LESSON.value, "step": STEP.value})


def page() -> None:
    """Draw the page."""
    lesson = by_id(LESSON.value)
    if lesson is not None:
        _lesson(lesson)
        return
    if LESSON.value == OWN:
        st.info(sentences.NOT_LOADED)
    _list()


page()
