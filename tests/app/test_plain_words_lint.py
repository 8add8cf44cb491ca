"""No page shows words from outside without `as_text`: found in the source, for every page."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

APP = Path(__file__).resolve().parents[2] / "app"
#: Of Streamlit: what reads its first words as Markdown, on `st` or on a column.
SHOWS = {
    "button", "caption", "checkbox", "download_button", "error", "expander", "header", "info",
    "markdown", "metric", "popover", "radio", "subheader", "success", "title", "toggle", "warning",
    "write",
}  # fmt: skip
#: What makes words from outside plain.
CLEANS = {"as_text", "said", "quoted", "as_prose"}
#: Sentences that make plain what they are given.
SENTENCES = {"bad_file", "cannot", "grid_too_fine", "unreadable_map", "what_it_is"}
#: Attributes that hold words of a visitor's file, or what the library says of one.
OUTSIDE = {"description", "evidence", "label", "licence", "message", "name", "notes", "problem",
           "source", "title", "verdict"}  # fmt: skip
#: Whose attributes are our own words, of the catalogue or of the source.
OUR_OWN = {"cut", "door", "door.act", "fit", "grid", "known", "page", "pages[path]", "scene.grid",
           "setting", "statement", "task", "verdict"}  # fmt: skip
#: The glossary, and the bundled lessons.
OUR_OWN_BESIDES = {"shared/glossary.py found.source", "views/start/page.py lesson.title"}


def made_before_asked(tree: ast.AST) -> Iterator[str]:
    """Yield what buttons offer as a file that every run makes anew.

    Such a file is gone before a browser has asked for the last one.
    """
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "st.download_button":
            data = call.args[1]
            if not isinstance(data, ast.Lambda) and ast.unparse(data) != "make":
                yield ast.unparse(data)


def shown(tree: ast.AST) -> Iterator[ast.expr]:
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            if call.func.attr in SHOWS and ast.unparse(call.func.value) != "words":
                yield from call.args[:1]
            yield from (k.value for k in call.keywords if k.arg in ("help", "label"))


def outside(node: ast.AST, caught: set[str]) -> Iterator[str]:
    """Yield what of an expression comes from outside and is not made plain."""
    if isinstance(node, ast.Call):
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        if name in CLEANS | SENTENCES:
            return
        for part in (*node.args, *(keyword.value for keyword in node.keywords)):
            yield from outside(part, caught)
        return
    if isinstance(node, ast.Name) and node.id in caught:
        yield node.id
    if (
        isinstance(node, ast.Attribute)
        and node.attr in OUTSIDE
        and ast.unparse(node.value) not in OUR_OWN
    ):
        yield ast.unparse(node)
    for child in ast.iter_child_nodes(node):
        yield from outside(child, caught)


def faults(source: str) -> list[str]:
    tree = ast.parse(source)
    caught = {h.name for h in ast.walk(tree) if isinstance(h, ast.ExceptHandler) and h.name}
    return [found for argument in shown(tree) for found in outside(argument, caught)]


def test_words_from_outside_are_made_plain() -> None:
    found = {
        f"{path.relative_to(APP)} {fault}"
        for path in APP.rglob("*.py")
        for fault in faults(path.read_text(encoding="utf-8"))
    }
    assert found == OUR_OWN_BESIDES


@pytest.mark.parametrize(
    "line",
    [
        'st.error(f"{problem}")',
        "st.error(str(problem))",
        "column.caption(target.title)",
        'st.markdown(f"**Source.** {target.source}")',
        "st.caption(sentences.about(file.name))",
        "st.button(words, help=row.label)",
    ],
)
def test_the_lint_finds(line: str) -> None:
    source = f"try:\n    pass\nexcept ValueError as problem:\n    {line}\n"
    assert len(faults(source)) == 1
    assert faults("st.error(as_text(str(problem)))") == []


def test_files_are_made_when_asked_for() -> None:
    assert not [
        f"{path.relative_to(APP)} {fault}"
        for path in APP.rglob("*.py")
        for fault in made_before_asked(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert [*made_before_asked(ast.parse("st.download_button('File', file.data, 'x')"))]
