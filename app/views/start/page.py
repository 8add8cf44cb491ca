"""Start: the question, one moving picture, and the doors to the other pages."""

import numpy as np
import streamlit as st

from app.lens import scrub
from app.lens.factors import linked_factors
from app.lens.sentences import result_panel
from app.lens.view import Panel, linked_view
from app.shared import answers, glossary, site
from app.shared.scene import Scene
from app.shared.settings import widget_value
from app.shared.style import FAMILY_LINES, LUTS
from app.views.start import compute, lessons, sentences, snippets
from app.views.start.settings import EXAMPLE_RANK
from lolora_core.explore.compare import Comparison

_PICTURED = "pictures"
#: The layer and the rank of "why care".
_LAYER, _LORA_RANK = 4096, 8


def _release() -> None:
    budget = (widget_value(_PICTURED) or {}).get("budget")
    if budget:
        EXAMPLE_RANK.set(int(budget["rank"]))


def _panel(name: str, scene: Scene, found: Comparison) -> Panel:
    result = found.results[name]
    error = scene.target.array - result.dense().numpy()
    return Panel(
        name,
        name,
        result_panel(result),
        FAMILY_LINES[name].colour,
        error.astype(np.float32),
        best=result in found.winners and len(found.winners) == 1,
        dash=FAMILY_LINES[name].dash,
    )


def _lens(scene: Scene, rank: int, found: Comparison) -> None:
    """Draw target and structures with the handle of the budget, which runs up once by itself."""
    with st.container(gap=None, key="first_look"):
        linked_view(
            key=_PICTURED,
            on_pick=lambda: None,
            on_release=_release,
            budget=scrub.budget(scene, rank, EXAMPLE_RANK, one_grid=True, plays=True),
            target=scene.target.array,
            value_range=scene.target.display_range,
            panels=[_panel(name, scene, found) for name in compute.SHOWN],
            view="reconstruction",
            limit=1.0,
            block_limit=1.0,
            row_edges=scene.grid.row_edges,
            col_edges=scene.grid.col_edges,
            show_grid=False,
            show_block_errors=False,
            selected=None,
            image=True,
            luts=LUTS,
            plain=True,
        )
        linked_factors(scrub.factors(scene, EXAMPLE_RANK.maximum), key="factors")


def _doors() -> None:
    """Draw a door to every page that is there."""
    st.header("Where to go", anchor=False)
    pages = site.pages()
    with st.container(horizontal=True, gap="small", key="doors"):
        for path, door in sentences.DOORS.items():
            if path in pages:
                with st.container(border=True, gap=None):
                    st.page_link(pages[path], label=f"**{door.act}:** {pages[path].title}")
                    st.caption(door.about)


def _lessons() -> None:
    """Draw a line for every lesson, the shortest first."""
    st.header("Lessons, the shortest first", anchor=False)
    with st.container(key="lesson_list", gap=None):
        for lesson in lessons.listed():
            st.button(
                sentences.lesson(lesson.title, lesson.minutes),
                key=f"lesson_{lesson.name}",
                type="tertiary",
                on_click=lessons.open_lesson,
                args=(lesson.name,),
            )


def page() -> None:
    """Draw the page."""
    scene, rank = compute.example(), EXAMPLE_RANK.value
    found = compute.compared(scene, rank)
    st.markdown(sentences.QUESTION)
    errors = {name: result.relative_error for name, result in found.results.items()}
    st.markdown(
        sentences.answer(errors, found.budget, scene.target.array.size), help=sentences.ERROR
    )
    _lens(scene, rank, found)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(sentences.AREAS, width="stretch")
        answers.python(snippets.pictures(scene, rank), key="pictures_python")
    glossary.words("matrix", "parameter", "rank", "relative error", "block", "LoRA")
    _doors()
    _lessons()
    st.header("Why it matters", anchor=False)
    st.markdown(sentences.why_care(_LAYER, _LORA_RANK))
    st.markdown(sentences.PAPER)


page()
