"""Long work on a page: its bar, its Stop, and what is shown when its process is lost."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest


def lost() -> None:
    import streamlit as st

    from app.shared import progress
    from app.shared.pool import LostError
    from app.shared.settings import Slot

    tries: Slot[int] = Slot("tries", 0)

    def run(show: progress.Progress) -> str:
        show(0.5, "half")
        tries.set(tries.value + 1)
        if tries.value == 1:
            raise LostError("The process is gone.")
        return "done"

    if not progress.stopped("work", "key", "Nothing is shown yet."):
        st.caption(progress.with_stop("work", "key", "Working", run))
    st.caption("the rest of the page")


def test_a_lost_process_is_a_sentence_and_continue_tries_again() -> None:
    at = AppTest.from_function(lost).run()
    assert not at.exception
    assert [error.value for error in at.error] == ["The process is gone."]
    assert [info.value for info in at.info] == ["Nothing is shown yet."]
    assert [caption.value for caption in at.caption] == ["the rest of the page"]
    at.button(key="continue_work").click().run()
    assert not at.error
    assert [caption.value for caption in at.caption] == ["done", "the rest of the page"]


def fails() -> None:
    import streamlit as st

    from app.shared import progress

    def cut() -> None:
        raise ValueError("The file is cut off.")

    try:
        progress.with_stop("work", "key", "Working", lambda show: progress.aside(cut, show))
    except ValueError as problem:
        st.error(str(problem))


def test_work_that_fails_leaves_no_button_to_stop_it() -> None:
    at = AppTest.from_function(fails).run()
    assert not at.exception
    assert [error.value for error in at.error] == ["The file is cut off."]
    assert not at.button
