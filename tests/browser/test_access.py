"""Every page without a pointer, on a phone, on paper, and while it loads."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import App

PAGES = {
    "": "Start",
    "compare": "Compare",
    "what_if": "What if",
    "fine_tune": "Fine-tune",
    "your_weights": "Your weights",
    "theory?theory_checked=contains": "Theory",
}
#: Sum of the moves of what is seen while a page loads, as browsers count them. Runs on a busy
#: machine had at most 0.087; Compare had 0.49 before room was kept.
MOVES = 0.15
#: Moves after the frame that first shows the heading: until then Streamlit opens an empty window.
WATCH = """
window.moved = 0;
let shown = Infinity;
new PerformanceObserver(list => {
  for (const move of list.getEntries()) if (move.startTime > shown) window.moved += move.value;
}).observe({ type: 'layout-shift', buffered: true });
const look = () => {
  if (document.querySelector('h1')) requestAnimationFrame(() => (shown = performance.now()));
  else requestAnimationFrame(look);
};
look();
"""
#: Plotly is loaded when the first chart asks for it.
CHARTS_ARE_DRAWN = """() => {
  const charts = [...document.querySelectorAll('[data-testid=stPlotlyChart]')];
  return charts.length && charts.every(chart => chart.querySelector('.main-svg'));
}"""
#: Pictures and tables that reach over the right edge of the window, by their test ids.
BEYOND = """() => [...document.querySelectorAll('[data-testid=stMain] [data-testid]')]
  .filter(e => e.getBoundingClientRect().right > innerWidth + 1 && e.checkVisibility()
    && !e.closest('.stDataFrame'))
  .map(e => e.dataset.testid)"""
#: Charts without a role or a name.
NAMELESS = """() => [...document.querySelectorAll('[data-testid=stPlotlyChart]')]
  .filter(chart => !chart.querySelector('svg[role=img][aria-label]')).length"""


def violations(page: Page) -> list[str]:
    """Return what axe finds serious or critical: its rule, and the first element of it."""
    found: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {rule['nodes'][0]['target']} of {len(rule['nodes'])}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_can_be_read_by_all(app: App, path: str) -> None:
    page = app.page
    page.add_init_script(WATCH)
    app.go(path)
    expect(page).to_have_title(f"{PAGES[path]} · Localized LoRA Explorer")
    assert page.evaluate("window.moved") < MOVES
    app.until(f"({NAMELESS})() === 0")
    levels = page.evaluate(
        "[...document.querySelectorAll('main :is(h1, h2, h3)')].map(e => e.tagName)"
    )
    assert levels == ["H1", *["H2"] * (len(levels) - 1)]

    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the answer")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert page.locator("main :focus").count() == 1

    for width, scheme in ((1440, "light"), (1440, "dark"), (1024, "dark"), (390, "light")):
        page.set_viewport_size({"width": width, "height": 1000})
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        background = "rgb(23, 22, 20)" if scheme == "dark" else "rgb(255, 255, 255)"
        expect(page.get_by_test_id("stApp")).to_have_css("background-color", background)
        if (width, scheme) in ((1440, "dark"), (390, "light")):
            assert violations(page) == []
        for picture in page.locator(".panel canvas.base").all():
            drawn = picture.bounding_box()
            assert drawn is not None
            assert 150 <= drawn["width"] <= width - drawn["x"]
        app.until(f"({BEYOND})().length === 0")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_sheet_of_paper_holds_all_in_one_column(app: App) -> None:
    app.go("your_weights")
    page = app.page
    app.until(CHARTS_ARE_DRAWN)
    # What a printer does, in its order.
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    expect(page.get_by_test_id("stSidebar")).to_be_hidden()
    expect(page.locator(".stDataFrame canvas").first).to_be_hidden()
    table = page.locator(".on-paper table", has_text="error of global")
    expect(table).to_be_visible()
    expect(table.locator("th").last).to_have_text("gain")
    charts = page.get_by_test_id("stPlotlyChart").all()
    assert charts
    lefts = {round(chart.bounding_box()["x"]) for chart in charts}  # type: ignore[index]
    assert len(lefts) == 1
    for chart in charts:
        drawn = chart.locator(".main-svg").first.bounding_box()
        assert drawn is not None
        assert drawn["width"] <= 701


def test_the_drawer_of_a_phone_closes_when_a_page_is_chosen(app: App) -> None:
    page = app.page
    page.set_viewport_size({"width": 390, "height": 900})
    app.go("")
    page.get_by_test_id("stExpandSidebarButton").click()
    drawer = page.get_by_test_id("stSidebar")
    expect(drawer).to_have_attribute("data-collapsed", "false")
    with app.run():
        drawer.get_by_role("link", name="Fine-tune").click()
    expect(drawer).to_have_attribute("data-collapsed", "true")
    expect(page.get_by_role("heading", level=1)).to_have_text("Fine-tune")
