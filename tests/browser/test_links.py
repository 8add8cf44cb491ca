"""What a link holds stands in the widgets of a fresh browser; `tests/app` compares whole views."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from app.page_settings import EVERY
from app.shared.settings import Setting
from tests.app.link_cases import LINK_IDS, LINKS
from tests.browser.conftest import App

#: Parts of pages that hold settings, and are drawn when they are seen.
IN_SIGHT = {"compare": ["curve"], "your_weights": ["adapter"]}
BY_KEY = {setting.key: setting for setting in EVERY}
#: Whether a widget shows a value; what is typed as a number may be written in another way.
SHOWS = """([place, wanted]) => {
  const e = document.querySelector(place);
  if (e === null) return false;
  const picked = [...e.querySelectorAll('button[aria-checked=true], button[aria-pressed=true]')];
  const many = e.querySelector('[data-testid=stMultiSelect]');
  // Its label stands first.
  if (many) return many.innerText.split('\\n').filter(Boolean).slice(1).join(', ') === wanted;
  const box = e.querySelector('input');
  if (picked.length) return picked.map(button => button.innerText).join(', ') === wanted;
  if (box === null) return false;
  if (box.type === 'checkbox') return String(box.checked) === wanted;
  return box.value === wanted || (wanted !== '' && Number(box.value) === Number(wanted));
}"""


def expected(setting: Setting, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(setting.title, value)) if isinstance(value, list) else setting.title(value)


@pytest.mark.parametrize(("path", "link"), LINKS, ids=LINK_IDS)
def test_a_link_fills_its_widgets(app: App, path: str, link: dict[str, object]) -> None:
    query = urlencode({key: BY_KEY[key].write(value) for key, value in link.items()}, doseq=True)
    app.go(f"{path}?{query}")
    app.see(*IN_SIGHT.get(path, ()))
    for key, value in link.items():
        place = f".st-key-{re.sub(r'[^a-zA-Z0-9_-]', '-', key)}"
        if key == "across":
            expect(app.page.locator(f"{place}, .st-key-sweep_pairs button").first).to_be_visible()
            asked = app.page.locator(".st-key-sweep_pairs button")
            if asked.count():  # Where the machine is slow.
                asked.click()
        wanted = expected(BY_KEY[key], value)
        app.until(SHOWS, [place, wanted])
