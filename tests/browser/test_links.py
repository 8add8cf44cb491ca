"""What a link holds stands in the widgets of a fresh browser; `tests/app` compares whole views."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from app.page_settings import EVERY
from app.shared.settings import Setting
from tests.app.link_cases import CASES, around, other_value
from tests.browser.conftest import App

BY_KEY = {setting.key: setting for setting in EVERY}
WIDGET = """e => {
  const picked = [...e.querySelectorAll('button[aria-checked=true], button[aria-pressed=true]')];
  if (picked.length) return picked.map(button => button.innerText).join(', ');
  const box = e.querySelector('input');
  return box === null ? '' : box.type === 'checkbox' ? String(box.checked) : box.value;
}"""


def together() -> list[tuple[str, dict[str, object]]]:
    """Return links that hold as many settings as go with each other, with their pages."""
    links: list[tuple[str, dict[str, object]]] = []
    for path, setting in CASES:
        wanted = {**around(setting), setting.key: other_value(setting)}
        for page, link in links:
            if page == path and all(link.get(key, value) == value for key, value in wanted.items()):
                link.update(wanted)
                break
        else:
            links.append((path, wanted))
    return links


LINKS = together()


def expected(setting: Setting, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(setting.title, value)) if isinstance(value, list) else setting.title(value)


@pytest.mark.parametrize(
    ("path", "link"), LINKS, ids=[f"{path or 'compare'}-{'+'.join(link)}" for path, link in LINKS]
)
def test_a_link_fills_its_widgets(app: App, path: str, link: dict[str, object]) -> None:
    query = urlencode({key: BY_KEY[key].write(value) for key, value in link.items()}, doseq=True)
    app.page.goto(f"{app.url}/{path}?{query}")
    for key, value in link.items():
        place = app.page.locator(f".st-key-{re.sub(r'[^a-zA-Z0-9_-]', '-', key)}").first
        expect(place, key).to_be_attached()
        found, wanted = str(place.evaluate(WIDGET)), expected(BY_KEY[key], value)
        same = found == wanted or (found[:1].isdigit() and float(found) == float(wanted))
        assert same, f"{key} shows {found!r}, the link says {wanted!r}"
