"""Start: what moves by itself, what the handle says, and links from before there was Start."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from app.views.start.compute import compared, example
from app.views.start.settings import EXAMPLE_RANK
from tests.browser.conftest import App


def test_it_plays_once_and_the_areas_follow_the_handle(app: App) -> None:
    page, most = app.page, EXAMPLE_RANK.maximum
    page.emulate_media(reduced_motion="no-preference")
    app.go("")
    root = page.locator(".linked")
    button = root.locator(".budget button")
    # By itself, up to the budget that the page speaks of; the server hears nothing of it.
    expect(button).to_have_text("Pause")
    expect(button).to_have_text("Play")
    expect(root).to_have_attribute("data-scrubbed", str(EXAMPLE_RANK.default))
    expect(page).to_have_url(f"{app.url}/")

    root.locator(".budget input").first.focus()
    with app.run():
        page.keyboard.press("End")
    for name, result in compared(example(), most).results.items():
        area = root.locator(f".panel[data-panel={name}] .area-text")
        share = result.num_parameters / example().target.array.size
        expect(area).to_have_text(
            f"{result.num_parameters:,} numbers, {100 * share:.1f} % of the matrix"
        )
    expect(page).to_have_url(f"{app.url}/?example_rank={most}")

    # A link holds the budget; who wishes for less motion has none.
    page.emulate_media(reduced_motion="reduce")
    page.reload()
    expect(root).to_have_attribute("data-scrubbed", re.compile(r"\d"))
    assert root.get_attribute("data-scrubbed") == str(most)
    expect(button).to_have_text("Play")


def test_a_link_from_before_there_was_start_opens_compare(app: App) -> None:
    app.go("?target=brick&rank=64&view=signed")
    expect(app.page).to_have_url(f"{app.url}/compare?target=brick&rank=64&view=signed")
    expect(app.main.get_by_role("heading", level=1)).to_have_text("Compare")
    expect(app.page.locator(".st-key-rank input[type=range]")).to_have_value("64")
    expect(app.page.locator(".st-key-view [aria-checked=true]")).to_have_text("signed error")
