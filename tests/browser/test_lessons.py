"""A lesson in the browser: from a link at a step to its last step, and on to the page."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import App


def test_a_lesson_from_link_to_last_step(app: App) -> None:
    app.go("lessons?lesson=diagonal&step=2")
    page = app.page
    # The link opens at its step; what is above can be scrolled to.
    expect(page.locator(".st-key-lesson_step_2 h2")).to_be_in_viewport()
    expect(page.locator(".st-key-lesson_bar")).not_to_be_in_viewport()
    # A move changes the step, and the address holds it.
    app.slide("lesson_diagonal_2_rank", 1)
    expect(page).to_have_url(re.compile("lesson=diagonal&step=2&moved=2.rank.9$"))
    step = page.locator(".st-key-lesson_step_3")
    with app.run():
        step.get_by_text("diagonal", exact=True).click()
    with app.run():
        step.get_by_role("button", name="Show the answer").click()
    expect(step.get_by_test_id("stAlert")).to_contain_text("Right. The program says: diagonal")
    with app.run():
        step.get_by_text("Those in the blocks on the diagonal.").click()
    expect(step.get_by_test_id("stAlert").last).to_contain_text("Right. And no others")
    step.get_by_role("button", name="Go on freely").click()
    expect(page.get_by_role("heading", name="Compare")).to_be_visible()
    app.rendered()
    assert "target=block-diagonal" in page.url
    assert "rank=2" in page.url
