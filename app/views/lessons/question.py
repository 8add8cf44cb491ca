"""Predict first: a guess, then the program's own answer; and the self-check."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import streamlit as st

from app.shared.settings import Slot
from app.shared.words import join_words
from app.views.lessons import sentences
from app.views.lessons.answer import answer_of, filled, is_right
from app.views.lessons.lesson import Question, SelfCheck
from app.views.lessons.measures import Looked

__all__ = ["ask", "check"]

#: Keys of the questions whose answer was asked for.
_ANSWERED: Slot[frozenset[str]] = Slot("lesson_answered", frozenset())


def _answer(key: str) -> None:
    _ANSWERED.set(_ANSWERED.value | {key})


def ask(
    question: Question, looked: Mapping[str, Looked], key: str, reveal: Callable[[], None]
) -> None:
    """Draw a question; after a guess, what the program measures.

    Parameters
    ----------
    question : Question
    looked : mapping
        The states of the step by name.
    key : str
        Of the step, for the widgets.
    reveal : callable
        Draws the figures that come with the answer.
    """
    with st.container(border=True, key=f"{key}_question"):
        st.markdown(f"**Predict first.** {filled(question.ask, looked)}")
        guess: str | float | None
        if question.number is None:
            guess = st.radio(
                "Your guess",
                list(question.options),
                format_func=question.options.__getitem__,
                index=None,
                key=f"{key}_guess",
                persist_state="session",
            )
        else:
            number = question.number
            guess = st.number_input(
                "Your guess",
                min_value=number.minimum,
                max_value=number.maximum,
                step=number.step,
                value=None,
                format=sentences.digits(number.step),
                key=f"{key}_guess",
                placeholder=f"{number.minimum:,g} to {number.maximum:,g}",
                persist_state="session",
            )
        st.button(
            "Show the answer",
            disabled=guess is None,
            help="Guess first." if guess is None else None,
            key=f"{key}_answer",
            on_click=_answer,
            args=(key,),
        )
        if guess is None or key not in _ANSWERED.value:
            return
        with st.spinner("Computing …"):
            answer = answer_of(question, looked)
            because = filled(question.because, looked)
        if question.number is None:
            said = join_words([question.options.get(one, one) for one in answer.right])
        else:
            said = answer.measured[0][1]
        right = is_right(question, answer, guess)
        (st.success if right else st.info)(sentences.verdict(right, said))
        if question.number is None and answer.measured:
            st.markdown(sentences.measured(answer.measured))
        st.markdown(because)
        reveal()


def check(found: SelfCheck, key: str) -> None:
    """Draw a self-check; what is picked is explained at once."""
    with st.container(border=True, key=f"{key}_self_check"):
        st.markdown(f"**Check yourself.** {found.ask}")
        picked = st.radio(
            "Your answer",
            range(len(found.options)),
            format_func=lambda at: found.options[at].text,
            index=None,
            key=f"{key}_check",
            persist_state="session",
        )
        if picked is not None:
            option = found.options[picked]
            said = f"{'Right' if option.right else 'Not quite'}. {option.why}"
            (st.success if option.right else st.info)(said)
