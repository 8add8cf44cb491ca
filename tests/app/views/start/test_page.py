"""Start through AppTest: its numbers are the library's, its doors those of the navigation."""

from __future__ import annotations

from typing import Any

from skimage.transform import downscale_local_mean

from app.page_settings import OF_PAGE
from app.views.start import sentences
from app.views.start.compute import SHOWN, compared, example
from app.views.start.lessons import listed
from app.views.start.settings import EXAMPLE_RANK
from app.views.start.snippets import pictures
from lolora_core import approximate, budget_for_rank
from lolora_core.targets import load
from tests.app.test_pages import opened, text


def test_the_numbers_are_those_of_the_library() -> None:
    at = opened("").run()
    assert not at.exception
    assert [title.value for title in at.title] == ["Start"]
    w = downscale_local_mean(load("camera").array, (2, 2))
    budget = budget_for_rank(w.shape, EXAMPLE_RANK.default)
    errors = {
        name: approximate(w, name, budget=budget, grid=example().grid).relative_error
        for name in SHOWN
    }
    said = text(at)
    assert sentences.answer(errors, budget, w.size) in said
    low, high = sorted(errors.values())
    assert f"{low:#.3g}" in said
    assert f"{high:#.3g}" in said
    # 16,777,216 entries; 8·(4096 + 4096) parameters.
    assert "16.8 million numbers" in said
    assert "65,536 new ones, 0.39 %" in said
    assert "https://arxiv.org/abs/2506.00236" in said


def test_a_door_for_every_page_but_this() -> None:
    at = opened("").run()
    doors = [link.proto.page for link in at.get("page_link")]
    assert doors == [path for path in sentences.DOORS if path in OF_PAGE]
    assert set(doors) == set(OF_PAGE) - {""}


def test_a_lesson_opens_from_the_list() -> None:
    at = opened("").run()
    labels = [button.label for button in at.main.button if str(button.key).startswith("lesson_")]
    assert labels == [sentences.lesson(one.title, one.minutes) for one in listed()]
    assert [one.minutes for one in listed()] == sorted(one.minutes for one in listed())
    at.button(key="lesson_noise").click().run()
    assert not at.exception
    assert [title.value for title in at.title] == ["Lessons"]
    (titled,) = [one.title for one in listed() if one.name == "noise"]
    assert any(titled in header.value for header in at.header)


def test_the_lines_of_python_make_the_numbers() -> None:
    made: dict[str, Any] = {}
    exec(pictures(example(), 24), made)
    results = compared(example(), 24).results
    assert made["errors"] == {name: result.relative_error for name, result in results.items()}
