"""Whatever a link or a settings file holds, each setting gets an allowed value."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.page_settings import EVERY
from app.shared.settings import LONGEST, MAX_BYTES, Setting, apply_settings
from tests.app.test_pages import opened

#: What no setting may be.
NEVER = ("x" * (LONGEST + 1), "a\nb", "a\u202eb", "\ud800")
#: Texts of a query, the last of which counts.
JUNK: tuple[tuple[str, ...], ...] = (
    ("",),
    ("inf",),
    ("-inf",),
    ("nan",),
    ("1e400",),
    ("-1",),
    ("1.5",),
    ("9" * 30,),
    ("9" * 5000,),
    ("0x10",),
    ("None",),
    *((text,) for text in NEVER),
    ("no such option", "nor this"),
    ("no such option",) * 5000,
)
#: What JSON can hold besides.
VALUES: tuple[Any, ...] = (
    None, True, [], {}, [[]], [None], ["nothing"], float("inf"), float("nan"), 10**30, -1, 0.5,
    *NEVER, {"a": [1]},
)  # fmt: skip


def apply(text: bytes) -> tuple[dict[str, Any], list[str]]:
    written: dict[str, Any] = {}
    problems = apply_settings(text, EVERY, lambda at, value: written.update({at.key: value}))
    return written, problems


@pytest.mark.parametrize("setting", EVERY, ids=lambda setting: setting.key)
def test_junk_in_a_link_or_a_file_is_never_taken(setting: Setting) -> None:
    for texts in JUNK:
        found = setting.read(texts)
        assert setting.accepts(found)
        if found != setting.default:
            # Junk for most, and a text, an empty choice or a number for some.
            assert setting.write(found) == [texts[-1]]
            assert texts[-1] not in NEVER
    for value in VALUES:
        written, problems = apply(json.dumps({setting.key: value}).encode())
        assert all(setting.accepts(taken) for taken in written.values())
        assert not (written and value in NEVER)
        assert len(written) + len(problems) == 1


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("what_if", {"aim": "", "brush_rank": "inf", "paint": "9x9_x_\u202e", "rows": "inf"}),
        (
            "fine_tune",
            {"ft_steps": "inf", "ft_seed": "inf", "ft_methods": "", "ft_task": "x" * 9999},
        ),
        ("your_weights", {"pair": "", "stored": "", "matrix": "x" * 9999, "hub_base": "a\nb"}),
        ("lessons", {"lesson": "nothing", "step": "inf", "moved": "99999.rank.²_1.rank.1e400"}),
        ("theory", {"theory_rows": "inf", "theory_checked": "nothing"}),
    ],
)
def test_a_link_of_junk_opens_its_page(path: str, query: dict[str, str]) -> None:
    at = opened(path)
    for key, value in query.items():
        at.query_params[key] = value
    at.run()
    assert not at.exception
    assert at.title


def test_a_large_file_is_refused_before_it_is_read() -> None:
    for text in (b"[" * (MAX_BYTES + 1), json.dumps({"paint": "5" * 5 * 10**7}).encode()):
        with pytest.raises(ValueError, match="all settings together fit into 65,536"):
            apply(text)


@pytest.mark.parametrize(
    "text", [b"[" * 60_000, b'{"a":' * 10_000, b'{"rank": ' + b"9" * 60_000 + b"}"]
)
def test_what_breaks_a_reader_of_json_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="This is not a settings file"):
        apply(text)


def test_of_many_unknown_names_the_first_are_named() -> None:
    names = {f"name_{at}": 1 for at in range(3000)}
    written, problems = apply(json.dumps({**names, "rank": 7}).encode())
    assert written == {"rank": 7}
    assert [problem.split("”")[0] for problem in problems[:3]] == ["“name_0", "“name_1", "“name_2"]
    assert problems[3] == "2,997 more are no settings of this version; they were left out."
    assert len(problems) == 4


def test_of_many_refused_values_few_are_named_and_none_at_length() -> None:
    _, problems = apply(json.dumps({s.key: ["x" * 400] for s in EVERY}).encode())
    assert len(problems) == 4
    assert max(map(len, problems)) < 160
    assert problems[3].endswith("more cannot be what the file says; they were left as they are.")
