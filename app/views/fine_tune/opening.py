"""A task before it is trained: its examples, what the base makes of them, what is known of it."""

from __future__ import annotations

import streamlit as st

from app.shared import answers
from app.views.fine_tune import before_words as words
from app.views.fine_tune import buttons, committed, compute, figures, snippets
from app.views.fine_tune.settings import GRID, PICKED, RANK, SEED, STORY, TASK
from lolora_core.training import TASKS

__all__ = ["draw"]

_PICTURE = 240


def draw(*, folded: bool) -> None:
    """Draw the task that is set; `folded` where a race takes the page."""
    if folded:
        with st.expander("The task, its examples, the experiment and the first story"):
            _story()
            _task()
            committed.draw()
        return
    _story()
    st.header("What must be learnt", anchor=False)
    _task()
    committed.draw()


def _story() -> None:
    told = {setting.key: value for setting, value in STORY}
    budget = compute.parameters(told[TASK.key], told[RANK.key])
    with st.container(border=True):
        st.markdown(words.story(told[PICKED.key], budget, told[GRID.key] ** 2))
        st.button(words.STORY, on_click=buttons.tell, key="ft_story",
                  help="Sets task, methods, budget and seeds, and starts. It takes less "
                  "than a minute.")  # fmt: skip


def _task() -> None:
    task = TASKS[TASK.value]
    st.markdown(task.goal)
    if task.requires():
        return
    if task.downloads:
        st.caption(words.DOWNLOADS)
        return
    found = compute.before(task.name, SEED.value)
    _examples(found)
    scores = [score for score in (found.known, found.new) if score is not None]
    labels = words.METRICS[-len(scores) :]
    for column, label, score in zip(st.columns(len(scores)), labels, scores, strict=True):
        with column:
            st.metric(
                label,
                words.metric(task.metric_name, score.metric),
                help=f"{task.metric_name} of the base as it is, before any training. "
                f"{task.description}",
            )
            st.caption(words.count(score.loss, score.count))
    code = snippets.base(task.name, SEED.value, known=found.known is not None)
    answers.python(code, key="ft_base_python")


def _examples(found: compute.Before) -> None:
    if found.delta is not None:
        limit = float(abs(found.delta).max())
        with st.container(width=_PICTURE):
            picture = figures.delta_png(found.delta, limit)
            st.html(figures.inline(picture, "The change ΔW that must be learnt"))
            st.caption(words.delta(found.delta.shape, limit))
        return
    pictures = [(e, e.picture) for e in found.examples if e.picture is not None]
    if pictures:
        st.html(
            figures.gallery([(picture, words.example(e.truth, e.guess)) for e, picture in pictures])
        )
    else:
        lines = [f"- {words.sentence(e.text, e.truth, e.guess)}" for e in found.examples]
        st.markdown("\n".join(lines))
    st.caption(words.EXAMPLES)
