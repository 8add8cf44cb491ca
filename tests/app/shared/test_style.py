"""Every colour and every dash stands in app/shared/style.py."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from app.shared import style
from lolora_core import FAMILIES

SHARED = Path(style.__file__).parent
APP = SHARED.parent
HEX = re.compile(r"#[0-9a-fA-F]{6}\b|#[0-9a-fA-F]{3}\b")


@pytest.mark.parametrize(
    "path", sorted(APP.rglob("*.py")), ids=lambda path: str(path.relative_to(APP))
)
def test_no_module_has_colours_or_dashes_of_its_own(path: Path) -> None:
    text = path.read_text()
    if path == Path(style.__file__):
        assert HEX.search(text)
        return
    assert not HEX.findall(text)
    assert not re.findall(r"rgba?\(\d|\"dash\": \"|colorscale=\"", text)


def test_the_linked_pictures_agree_with_the_style() -> None:
    written = {
        colour
        for kind in ("*.js", "*.css")
        for path in (APP / "lens").glob(kind)
        for colour in HEX.findall(path.read_text())
    }
    assert written == set(style.LENS_COLOURS.values())


def test_every_family_has_a_look_and_a_letter_of_its_own() -> None:
    lines = [style.FAMILY_LINES[name] for name in FAMILIES]
    for looks in (
        [line.colour for line in lines],
        [line.dash for line in lines],
        [family.letter for family in FAMILIES.values()],
    ):
        assert len(set(looks)) == len(FAMILIES)


def test_the_theme_has_the_accents_of_the_style() -> None:
    theme = tomllib.loads((APP / ".streamlit" / "config.toml").read_text())["theme"]
    found = {scheme: theme[scheme]["primaryColor"] for scheme in ("light", "dark")}
    assert found == style.ACCENTS
    sheet = (APP / "server" / "style.css").read_text()
    assert f"light-dark({found['light']}, {found['dark']})" in sheet
    assert not set(found.values()) & {line.colour.lower() for line in style.METHOD_LINES.values()}
