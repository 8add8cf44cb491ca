"""The page Lessons: list, an open lesson, questions, moves, handout, and the teacher's form."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from app.page_settings import EVERY  # noqa: F401  (declares what the lessons may set)
from app.views.lessons.answer import answer_of
from app.views.lessons.lesson import Lesson, Question
from app.views.lessons.measures import Looked
from app.views.lessons.shelf import bundled
from app.views.lessons.step import looked_at
from tests.app.test_pages import MAIN, text


def opened(**query: str) -> AppTest:
    at = AppTest.from_file(MAIN, default_timeout=120)
    at._page_hash = calc_hash("lessons")
    for key, value in query.items():
        at.query_params[key] = [value]
    at.run()
    assert not at.exception
    return at


def press(at: AppTest, key: str) -> None:
    at.button(key=key).click().run()
    assert not at.exception


def guess(at: AppTest, lesson: Lesson, number: int) -> None:
    """Guess the first option, or the least number, and ask for the answer."""
    asked = lesson.steps[number - 1].question
    assert asked
    key = f"lesson_{lesson.id}_{number}"
    if asked.number:
        at.number_input(key=f"{key}_guess").set_value(asked.number.minimum).run()
    else:
        at.radio(key=f"{key}_guess").set_value(next(iter(asked.options))).run()
    press(at, f"{key}_answer")


def has_a_fair_answer(asked: Question, looked: dict[str, Looked]) -> None:
    """Check that the program's answer can be given, and is not given by any guess."""
    answer = answer_of(asked, looked)
    if asked.number is None:
        assert answer.right
        assert set(answer.right) < set(asked.options)
        return
    assert asked.number.minimum <= answer.number <= asked.number.maximum
    assert asked.number.within <= 0.125 * (asked.number.maximum - asked.number.minimum)


def boxes(at: AppTest) -> list[str]:
    return [box.value for box in (*at.success, *at.info)]


@pytest.mark.parametrize("name", bundled())
def test_every_lesson_is_walked(name: str) -> None:
    lesson = bundled()[name]
    at = opened(lesson=name)
    assert [header.value for header in at.header][1:] == [
        f"{at}. {step.heading}" for at, step in enumerate(lesson.steps, start=1)
    ]
    own_picture = len(at.info)  # Of the uploader, where the lesson has one.
    answered = 0
    for number, step in enumerate(lesson.steps, start=1):
        if step.question:
            has_a_fair_answer(step.question, looked_at(step, {}))
            assert at.button(key=f"lesson_{name}_{number}_answer").disabled
            guess(at, lesson, number)
            answered += 1
        if step.self_check:
            right = next(i for i, one in enumerate(step.self_check.options) if one.right)
            at.radio(key=f"lesson_{name}_{number}_check").set_value(right).run()
            assert at.success[-1].value.startswith("Right. ")
    assert not at.error
    said = [box for box in boxes(at) if "The program says: " in box]
    assert len(said) == answered
    assert len(boxes(at)) == answered + 1 + own_picture


def test_the_list_and_back() -> None:
    at = opened()
    for lesson in bundled().values():
        assert any(lesson.title in heading.value for heading in at.subheader)
        assert all(one in text(at) for one in lesson.objectives)
    press(at, "open_cliff")
    assert "7. Too many blocks: the cliff" in [header.value for header in at.header]
    press(at, "all_lessons")
    assert at.button(key="open_cliff")


def test_a_move_changes_the_step_and_the_link_carries_it() -> None:
    at = opened(lesson="blocks-win")
    before = text(at)
    at.slider(key="lesson_blocks-win_1_rank").set_value(64).run()
    at.slider(key="lesson_blocks-win_1_rows").set_value(4).run()
    assert "both learn 65,536 numbers. With 4 block rows" in text(at)
    link = next(code.value for code in at.code if "step=1&moved=1.rank.64_1.rows.4" in code.value)
    assert "lesson=blocks-win" in link
    again = opened(lesson="blocks-win", step="1", moved="1.rank.64_1.rows.4")
    assert text(again) == text(at)
    press(at, "unmove")
    assert text(at) == before


def test_a_lesson_hides_controls() -> None:
    keys = {slider.key for slider in opened(lesson="strips").slider}
    assert keys == {"lesson_strips_3_rank", "lesson_strips_4_rank"}


def test_errors_are_not_told_before_the_guess() -> None:
    at = opened(lesson="strips")

    def pictures() -> str:
        return " ".join(element.proto.body for element in at.get("html"))

    assert "one pair</figcaption>" in pictures()
    assert "one pair: error" not in pictures()


def test_go_on_freely_sets_the_other_page_up() -> None:
    at = opened(lesson="neighbours", moved="3.rank.16")
    press(at, "lesson_go_3")
    assert [title.value for title in at.title] == ["Compare"]
    assert at.selectbox(key="target").value == "minilm-0-query"
    assert at.slider(key="rank").value == 16
    assert "0.0835" not in text(at)
    assert at.session_state["stride"] == 1


def test_a_handout_has_questions_and_no_answers() -> None:
    at = opened(lesson="blocks-win", handout="true")
    words = text(at)
    assert "☐ global: strips across the whole matrix" in words
    assert "lesson=blocks-win" in words
    assert not at.slider
    assert not [button for button in at.button if "answer" in str(button.key)]
    for step in bundled()["blocks-win"].steps:
        if step.question:
            assert step.question.because not in words


def test_a_link_to_somebody_elses_lesson() -> None:
    at = opened(lesson="own")
    assert "Load its file" in at.info[0].value
