"""The address bar: one act, one entry; Back and a reload show what was there."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from lolora_core import approximate, budget_for_rank
from lolora_core.targets import load
from tests.browser.conftest import App
from tests.browser.test_what_if import click_cell, open_page


def entries(page: Page) -> int:
    return int(page.evaluate("history.length"))


def expect_rank(app: App, rank: int) -> None:
    expect(app.page.locator(".st-key-rank input[type=range]")).to_have_value(str(rank))


def expect_numbers(app: App, **numbers: int) -> None:
    for key, value in numbers.items():
        expect(app.page.locator(f".st-key-{key} input")).to_have_value(str(value))


def test_a_cell_of_the_winner_map_is_one_entry(app: App) -> None:
    open_page(app, "?target=brick&rank=24")
    before = entries(app.page)
    # The third of six grids is 4×4, and the last column the largest budget.
    click_cell(app, "winners", 0.995, 2.5 / 6)
    app.rendered()
    w = load("brick").array
    error = approximate(w, "adaptive", budget=budget_for_rank(w.shape, 256), grid=4).relative_error
    expect(app.page.locator(".panel").filter(has_text="adaptive")).to_contain_text(f"{error:#.3g}")
    expect(app.page).to_have_url(f"{app.url}/compare?target=brick&rank=256&rows=4&cols=4")
    assert entries(app.page) == before + 1
    app.page.go_back()
    expect(app.main.get_by_role("heading", name="What if")).to_be_visible()
    expect(app.page).to_have_url(f"{app.url}/what_if?target=brick&rank=24")
    expect_rank(app, 24)
    expect_numbers(app, rows=8, cols=8)
    app.page.go_forward()
    expect(app.main.get_by_role("heading", name="Compare")).to_be_visible()
    expect_rank(app, 256)
    expect_numbers(app, rows=4, cols=4)
    assert entries(app.page) == before + 1


def test_a_slider_on_its_way_is_one_entry(app: App) -> None:
    app.open("?rank=24")
    before = entries(app.page)
    for step in range(1, 4):
        # Cut short, a run takes files away that the page still asks for.
        with app.run():
            app.slide("rank", 1)
        expect(app.page).to_have_url(f"{app.url}/compare?rank={24 + step}")
    assert entries(app.page) == before + 1
    with app.run():
        app.page.go_back()
    expect_rank(app, 24)


def test_each_act_on_compare_is_one_entry(app: App) -> None:
    app.open("?target=MiniLM+layer+0+query&block_row=3&block_col=2")
    count = entries(app.page)
    acts = (
        (lambda: app.page.get_by_role("button", name="r = 40 ▸").click(), "rank=40"),
        (lambda: app.page.get_by_role("button", name="Cut into 12 heads").click(), "linked=false"),
        (lambda: app.number("rows", 6), "rows=6"),
        (lambda: app.page.locator(".st-key-linked label").first.click(), "cols=6"),
        (
            lambda: (
                app.page.get_by_test_id("stSidebar").get_by_role("button", name="Reset").click()
            ),
            "/compare$",
        ),
    )
    for act, shown in acts:
        # The address changes first: what is still drawn would send its old value with the next act.
        with app.run():
            act()
        expect(app.page).to_have_url(re.compile(shown))
        count += 1
        assert entries(app.page) == count
    with app.run():
        app.page.go_back()
    expect_rank(app, 40)
    expect_numbers(app, rows=6, cols=6)
    expect(app.page.get_by_test_id("stSidebar")).to_contain_text("Query weights of a sentence")
    with app.run():
        app.page.go_back()
    expect_numbers(app, rows=6, cols=1)
    assert entries(app.page) == count


def test_another_page_is_one_entry_and_a_reload_keeps_the_view(app: App) -> None:
    app.open("?target=brick&view=signed")
    before = entries(app.page)
    app.page.get_by_role("link", name="What if").click()
    expect(app.main.get_by_role("heading", name="What if")).to_be_visible()
    expect(app.page).to_have_url(f"{app.url}/what_if?target=brick")
    assert entries(app.page) == before + 1
    app.page.reload()
    expect(app.page.get_by_test_id("stSidebar")).to_contain_text("brick wall")
    app.page.go_back()
    app.rendered()
    expect(app.page).to_have_url(f"{app.url}/compare?target=brick&view=signed")
    expect(app.page.locator(".st-key-view [aria-checked=true]")).to_have_text("signed error")


def test_your_weights_has_no_target(app: App) -> None:
    app.page.goto(f"{app.url}/your_weights?target=brick&rank=16")
    sidebar = app.page.get_by_test_id("stSidebar")
    expect(sidebar.locator(".st-key-rank")).to_be_visible()
    expect(sidebar.locator(".st-key-rows")).to_be_visible()
    assert sidebar.locator(".st-key-target").count() == 0


def test_what_no_setting_allows_is_the_default(app: App) -> None:
    app.open("?rank=999&rows=abc&view=nothing&lines=maybe&unknown=1")
    expect_rank(app, 32)
    expect_numbers(app, rows=8, cols=8)
    expect(app.page.locator(".st-key-view [aria-checked=true]")).to_have_text("reconstruction")
