"""The scoreboard in Chromium: a cell of the map and a button of the table open Compare."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from lolora_core.explore.scoreboard import CLAIMED, RIVALS, duels, scoreboard
from lolora_core.targets import load
from tests.browser.conftest import App


def expect_compare(app: App, query: str) -> None:
    expect(app.page).to_have_url(re.compile(rf"/(compare)?\?{query}$"))
    expect(app.main.get_by_role("heading", name="Compare")).to_be_visible()


def test_a_cell_and_a_row_open_compare(app: App) -> None:
    app.go("scoreboard?board_kinds=image&board_grids=4&board_ranks=8&board_ranks=16")
    expect(app.main).to_contain_text("Here localized has the lower error in")
    area = app.page.locator(".st-key-board_map .nsewdrag").first
    area.hover()
    box = area.bounding_box()
    assert box is not None
    # The third photograph of fourteen, at r = 16.
    place = {"x": 0.75 * box["width"], "y": 2.5 / 14 * box["height"]}
    area.hover(position=place)  # type: ignore[arg-type]
    rows = next(scoreboard([load("brick")], grids=[4], ranks=[16]))
    (duel,) = duels(rows, CLAIMED, RIVALS[0]).to_dict("records")
    shown = app.page.locator(".st-key-board_map .hovertext")
    expect(shown).to_contain_text("Brick wall, 4×4, r = 16")
    expect(shown).to_contain_text(f"{CLAIMED} {duel[CLAIMED]:.4f}")
    area.click(position=place)  # type: ignore[arg-type]
    expect_compare(app, "target=brick&rank=16&rows=4&cols=4")
    app.go("scoreboard?board_kinds=image&board_grids=4&board_ranks=8")
    table = app.page.locator(".stDataFrame .dvn-scroller").first
    # Below the heads of the columns, in the first of them: Camera at r = 8.
    table.click(position={"x": 30, "y": 52})
    expect_compare(app, "rank=8&rows=4&cols=4")
