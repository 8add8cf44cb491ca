"""The teacher's form: a lesson from what was looked at, its file, and files that are loaded."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app.page_settings import EVERY  # noqa: F401  (declares what the lessons may set)
from app.shared.declared import pages
from app.views.lessons import draft, teacher
from app.views.lessons.draft import as_file, as_json, fields
from app.views.lessons.lesson import read_lesson
from app.views.lessons.shelf import LOADED, bundled
from tests.app.test_pages import text
from tests.app.views.lessons.test_page import opened, press


def made(at: AppTest) -> dict[str, Any]:
    """Return the lesson that the form opens."""
    press(at, "draft_open")
    return at.session_state["lesson_loaded"].model_dump(exclude_defaults=True)


def fill(at: AppTest) -> None:
    at.text_input(key="draft_title").set_value("Coins: by hand").run()
    at.text_input(key="draft_audience").set_value("Class 2b").run()
    at.text_area(key="draft_objectives").set_value("See coins\n\nSay why").run()
    at.text_input(key="draft_0_heading").set_value("Look").run()
    at.text_area(key="draft_0_text").set_value("Error {{relative_error:global}}.").run()


def test_a_lesson_is_made_of_what_was_looked_at_and_opened() -> None:
    at = opened(target="coins", rank="8", rows="4", cols="4")
    press(at, "draft_take")
    # Each thing that is missing is said.
    assert "step 1, “heading”: is missing" in at.warning[0].value.replace("\\", "")
    fill(at)
    at.selectbox(key="draft_0_ask").set_value("who wins").run()
    found = made(at)
    assert found["title"] == "Coins: by hand"
    assert found["id"] == "coins-by-hand"
    assert found["objectives"] == ["See coins", "Say why"]
    (step,) = found["steps"]
    assert step["state"] == {"target": "coins", "rank": 8, "rows": 4, "cols": 4}
    assert step["question"]["answer"] == {"measure": "winner"}
    # It opened, and measures.
    assert "Coins: by hand" in [header.value for header in at.header]
    assert "Error 0." in text(at)
    at.radio(key="lesson_own_1_guess").set_value("global").run()
    press(at, "lesson_own_1_answer")
    assert any("The program says" in box.value for box in (*at.success, *at.info))


def test_steps_are_dropped_and_kept_to_six() -> None:
    at = opened()
    for _ in range(6):
        press(at, "draft_take")
    assert at.button(key="draft_take").disabled
    press(at, "draft_drop")
    assert len(at.session_state["draft_steps"]) == 5
    assert not at.button(key="draft_take").disabled


@pytest.mark.parametrize("name", bundled())
def test_what_the_form_shows_of_a_lesson_makes_it_again(name: str) -> None:
    lesson = bundled()[name]
    again = read_lesson(as_file(fields(lesson)), "again", pages())
    # The form makes ids of titles.
    assert again.model_copy(update={"id": lesson.id}) == lesson


class Upload(io.BytesIO):
    """A file as the uploader hands it over."""

    def __init__(self, name: str, data: bytes) -> None:
        super().__init__(data)
        self.name = name


def load(monkeypatch: pytest.MonkeyPatch, name: str, data: bytes) -> dict[str, Any]:
    """Load a file into the form; return what the session then holds."""
    held: dict[str, Any] = {}
    monkeypatch.setattr(teacher, "widget_value", lambda key: Upload(name, data))
    monkeypatch.setattr(teacher, "set_widget", held.__setitem__)
    for slot in (LOADED, teacher._STEPS, teacher._PROBLEM):
        monkeypatch.setattr(slot, "set", lambda value, key=slot.key: held.__setitem__(key, value))
    teacher._load()
    return held


def test_a_file_opens_like_a_bundled_one_and_fills_the_form(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lesson = bundled()["cliff"]
    held = load(monkeypatch, "mine.json", as_json(lesson).encode())
    assert held["lesson_loaded"] == lesson
    assert held["draft_title"] == lesson.title
    assert [step["heading"] for step in held["draft_steps"]] == [
        held[f"draft_{at}_heading"] for at in range(len(lesson.steps))
    ]
    assert held["draft_0_ask"] == draft.FILE_ASKS
    assert held["lesson_problem"] == ""


def test_a_bad_file_says_what_is_wrong_and_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    data = json.loads(as_json(bundled()["cliff"]))
    data["steps"][2]["state"]["rank"] = 0
    held = load(monkeypatch, "mine.json", json.dumps(data).encode())
    assert list(held) == ["lesson_problem"]
    assert held["lesson_problem"].startswith("mine.json, step 3: “state” has rank = 0; allowed")
