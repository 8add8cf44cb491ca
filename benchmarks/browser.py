"""The app in Chromium: first heading, and from a slider move to the new pictures on screen."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.install_chromium import system_chromium
from tests.browser.serving import QUIET, ROOT, serve

#: The time of each change is taken in the page, so that the driver's polling is not in it.
WATCH = """
() => {
  window.seen = [];
  const find = (node) => {
    const found = node.querySelector("[data-rendered]");
    if (found) return found;
    for (const part of node.querySelectorAll("*")) {
      const inner = part.shadowRoot && find(part.shadowRoot);
      if (inner) return inner;
    }
    return null;
  };
  new MutationObserver(() => window.seen.push(performance.now()))
    .observe(find(document), { attributes: true, attributeFilter: ["data-rendered"] });
  window.addEventListener("keydown", () => { window.pressed = performance.now(); }, true);
}
"""


def _page(browser: Browser) -> Page:
    return browser.new_context(viewport={"width": 1440, "height": 1000}, bypass_csp=True).new_page()


def headings(browser: Browser, url: str, visits: int = 6) -> list[float]:
    """Return the seconds from opening the page to its heading; the first visit is a cold server."""
    found = []
    for _ in range(visits):
        page = _page(browser)
        start = time.perf_counter()
        page.goto(url, wait_until="commit")
        page.get_by_role("heading", level=1).wait_for()
        found.append(time.perf_counter() - start)
        page.locator("[data-rendered]").wait_for()
        page.context.close()
    return found


def slider(browser: Browser, url: str, moves: int = 40, pause: float = 0.6) -> list[float]:
    """Return the seconds from a key press on the budget slider to the new pictures painted."""
    page = _page(browser)
    page.goto(f"{url}/compare?rank=40")
    page.locator("[data-rendered]").wait_for()
    page.wait_for_timeout(3000)
    page.evaluate(WATCH)
    page.locator(".st-key-rank input[type=range]").focus()
    found = []
    for _ in range(moves):
        before = page.evaluate("window.seen.length")
        page.keyboard.press("ArrowRight")
        page.wait_for_function(f"window.seen.length > {before}")
        found.append(page.evaluate("window.seen[window.seen.length - 1] - window.pressed") / 1000)
        page.wait_for_timeout(pause * 1000)
    page.context.close()
    return found


def summary(seconds: list[float]) -> dict[str, float]:
    """Return what half of them, and 95 of a hundred, do not exceed."""
    ordered = sorted(seconds)
    return {
        "median": statistics.median(ordered),
        "95th percentile": ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))],
    }


def run() -> dict[str, Any]:
    """Measure both on the default target, 512² with all families."""
    with (
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as playwright,
        serve(ROOT / "app" / "main.py", Path(folder)) as (url, _),
    ):
        browser = playwright.chromium.launch(executable_path=system_chromium(), args=QUIET)
        first, *later = headings(browser, f"{url}/compare")
        found = {
            "first heading, cold server, s": first,
            "first heading, warm server, s": summary(later),
            "slider to pictures, 512², s": summary(slider(browser, url)),
            "slider to pictures, moves 0.1 s after the last, s": summary(
                slider(browser, url, pause=0.1)
            ),
        }
        browser.close()
    return found
