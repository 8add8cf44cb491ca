from __future__ import annotations

import pytest

from lolora_core.common.names import names_like, near_names
from lolora_core.targets import entry


def test_last_parts_of_dotted_names_count_once_and_whole_names_too() -> None:
    known = ["enc.0.query", "enc.0.key", "enc.1.query"]
    assert names_like("quer", known) == ["query"]
    assert names_like("enc.0.quer", known, limit=1) == ["enc.0.query"]
    assert names_like("zzz", known) == []


def test_where_none_is_alike_all_are_named() -> None:
    assert near_names("zzz", iter(["a", "b"]), "task") == "there is no task 'zzz'; known: a, b."
    with pytest.raises(ValueError, match=r"catalogue\(\) lists them all"):
        entry("zzzzzz")
