"""Each word of the glossary is on a page, and each word on a page is in the glossary."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from app.shared import glossary
from app.shared.definitions import WORDS, define
from lolora_core import FAMILIES

VIEWS = Path(glossary.__file__).parents[1] / "views"


def on_pages() -> set[str]:
    """Return the words that the pages name."""
    found: set[str] = set()
    for path in VIEWS.glob("*/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "glossary.words":
                found |= {str(a.value) for a in node.args if isinstance(a, ast.Constant)}
    return found


def test_words_and_pages_fit_each_other() -> None:
    assert on_pages() - set(FAMILIES) == set(WORDS)


@pytest.mark.parametrize("word", [*WORDS, *FAMILIES])
def test_a_definition_is_short_and_whole(word: str) -> None:
    found = define(word)
    assert found.text.endswith(".")
    assert len(re.findall(r"\.(?:\s|$)", found.text)) <= 3
    assert len(found.text) <= 230
    assert found.formula.count("{") == found.formula.count("}")


def test_a_family_defines_itself() -> None:
    for name, family in FAMILIES.items():
        found = define(name)
        assert found.text.casefold() == f"{family.summary}.".casefold()
        assert (found.formula, found.source) == (family.formula, family.source)
