"""A widget's own default is the present value, from which a browser may have to draw it again."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest


def page() -> None:
    from app.shared import widgets
    from app.shared.settings import Setting, seed

    number: dict[str, Any] = {"minimum": 0, "maximum": 9, "step": 1}
    kinds = {
        "slider": (widgets.slider, Setting("slider", 3, "a", "", **number)),
        "number": (widgets.number, Setting("number", None, "b", "", **number)),
        "toggle": (widgets.toggle, Setting("toggle", False, "c", "")),
        "segments": (widgets.segments, Setting("segments", 4, "d", "", options=(1, 2, 4))),
        "choice": (widgets.choice, Setting("choice", "y", "e", "", options=("x", "y"))),
        "pills": (widgets.pills, Setting("pills", ["x"], "f", "", options=("x", "y"))),
        "text": (widgets.text, Setting("text", "w", "g", "")),
    }
    seed([setting for _, setting in kinds.values()], lambda setting: setting.default)
    for draw, setting in kinds.values():
        draw(setting)


@pytest.mark.parametrize(
    ("kind", "picked", "first", "then"),
    [
        ("slider", 7, [3.0], [7.0]),
        ("number_input", 7, 0.0, 7.0),
        ("toggle", True, False, True),
        ("selectbox", "x", 1, 0),
        ("text_input", "v", "w", "v"),
    ],
)
def test_a_widget_is_drawn_from_its_value(kind: str, picked: Any, first: Any, then: Any) -> None:
    at = AppTest.from_function(page).run()
    widget: Any = at.get(kind)[0]
    assert widget.proto.default == first
    at = widget.set_value(picked).run()
    widget = at.get(kind)[0]
    assert widget.proto.default == then


@pytest.mark.parametrize(
    ("key", "picked", "first", "then"),
    [("segments", 1, [2], [0]), ("pills", ["x", "y"], [0], [0, 1])],
)
def test_so_is_a_choice_of_a_few(key: str, picked: Any, first: Any, then: Any) -> None:
    at = AppTest.from_function(page).run()
    assert list(at.button_group(key=key).proto.default) == first
    at = at.button_group(key=key).set_value(picked).run()
    assert list(at.button_group(key=key).proto.default) == then
