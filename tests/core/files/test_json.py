"""JSON from outside is bounded, and what would break later on is refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from lolora_core.files.bounded_json import JsonLimits, parse_json
from lolora_core.files.json_files import json_object, read_json

BAD = [
    (b"", "Expecting value"),
    (b"{", "Expecting property name"),
    (b"\xff", "can't decode byte"),
    (b'{"a": 1, "a": 2}', "a name occurs twice"),
    (b"[" * 100_000, "more than 64 deep"),
    (b'{"a":' * 65 + b"1" + b"}" * 65, "more than 64 deep"),
    (b"[" * 65 + b"]" * 65, "more than 64 deep"),
    (b'{"a": NaN}', "NaN, which is no finite number"),
    (b"[-Infinity]", "-Infinity, which is no finite number"),
    (b"[1e400]", "1e400, which is no finite number"),
    (b'["' + rb"\ud800" + b'"]', "half of a surrogate pair"),
    (b'{"x": {"' + rb"\udc00" + b'": 1}}', "half of a surrogate pair"),
    (b"9" * 5000, "Exceeds the limit"),
    (b"[" + b"1," * 4_000_000 + b"1]", "about 4,000,001 values, and at most 4,000,000"),
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_json_is_refused_in_a_sentence(text: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_json(text)
    with pytest.raises(ValueError, match=r"^x\.json is not readable JSON: "):
        json_object(text, "x.json")


def test_what_is_within_the_limits_is_read() -> None:
    assert parse_json(b"[" * 64 + b"]" * 64)
    assert parse_json(rb'["\ud83d\ude00", "\u00e9", 1e300]') == ["😀", "é", 1e300]
    assert parse_json(b'\xef\xbb\xbf{"a": null}') == {"a": None}
    assert parse_json(b"[Infinity]", JsonLimits(finite=False)) == [float("inf")]
    with pytest.raises(ValueError, match="a must hold a JSON object"):
        json_object(b"[]", "a")


def test_limits_are_those_of_the_caller(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(b'{"a": [1, 2, 3]}')
    assert read_json(file) == {"a": [1, 2, 3]}
    for limits, message in (
        (JsonLimits(size=15), "has 16 bytes; at most 15 are read"),
        (JsonLimits(values=3), "about 4 values, and at most 3"),
        (JsonLimits(depth=1), "more than 1 deep"),
    ):
        with pytest.raises(ValueError, match=message):
            read_json(file, limits)
    with pytest.raises(ValueError, match="has 16 bytes, and at most 15"):
        parse_json(file.read_bytes(), JsonLimits(size=15))
