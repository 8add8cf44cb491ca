from __future__ import annotations

import json
from typing import Any

import pytest

from app.page_settings import EVERY as SETTINGS
from app.shared.common import TARGET
from app.shared.settings import apply_settings, export_settings


def apply(text: bytes) -> tuple[dict[str, Any], list[str]]:
    written: dict[str, Any] = {}
    problems = apply_settings(
        text, SETTINGS, lambda setting, value: written.update({setting.key: value})
    )
    return written, problems


def test_keys_are_unique_and_defaults_are_allowed() -> None:
    keys = [setting.key for setting in SETTINGS]
    assert len(keys) == len(set(keys))
    assert all(setting.accepts(setting.default) for setting in SETTINGS)
    assert all(setting.help for setting in SETTINGS)


def test_patterns_bring_their_own_settings() -> None:
    assert {"planted-blocks.rank", "power-law.exponent"} <= {s.key for s in SETTINGS}


def test_titles_name_one_target_each() -> None:
    titles = [TARGET.title(option) for option in TARGET.options]
    assert len(titles) == len(set(titles))


def test_what_is_exported_is_taken_back() -> None:
    defaults = {setting.key: setting.default for setting in SETTINGS}
    assert json.loads(export_settings(SETTINGS)) == defaults
    changed = defaults | {"rank": 7, "target": "brick", "lines": True, "scale": 8}
    assert apply(json.dumps(changed).encode()) == (changed, [])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rank", 0),
        ("rank", 257),
        ("rank", "32"),
        ("rank", True),
        ("rank", 32.5),
        ("rows", None),
        ("target", "nothing"),
        ("view", ["signed error"]),
        ("linked", 1),
    ],
)
def test_bad_values_are_named_and_left_out(key: str, value: Any) -> None:
    written, problems = apply(json.dumps({key: value, "cols": 4}).encode())
    assert written == {"cols": 4}
    assert problems == [f"“{key}” cannot be {value!r}; it was left as it is."]


def test_unknown_names_are_named() -> None:
    assert apply(b'{"colour_of_the_sky": 1}') == (
        {},
        ["“colour_of_the_sky” is not a setting of this version; it was left out."],
    )


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[1, 2]", b"3"])
def test_what_is_not_a_settings_file(text: bytes) -> None:
    with pytest.raises(ValueError, match="This is not a settings file"):
        apply(text)
