"""A server that is stopped and started: the page comes back by itself, and says what is gone."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import Page, expect

from app.views.fine_tune.sentences import NO_LONGER_HELD
from tests.browser.conftest import App
from tests.browser.serving import ROOT, started
from tests.browser.test_fine_tune import button, open_page, press
from tests.browser.test_what_if import expect_query

SCRIPT = ROOT / "app" / "main.py"


def test_settings_come_back_and_a_race_is_said_to_be_gone(page: Page, tmp_path: Path) -> None:
    with started(SCRIPT, tmp_path) as (url, _, _):
        app = App(page, url)
        open_page(app, "?ft_task=planted-blocks&ft_rank=5&ft_steps=5000&ft_methods=global")
        with app.run():
            app.slide("ft_rank", 1)
        press(app, "Start")
        expect(app.main.get_by_text(re.compile(r"step [\d,]+ of 5,000")).first).to_be_visible()
        press(app, "Pause")
    with ExitStack() as stack:
        with app.run():
            port = url.rpartition(":")[2]
            _, log, _ = stack.enter_context(started(SCRIPT, tmp_path, port=port))
        expect(app.main.get_by_text(NO_LONGER_HELD)).to_be_visible()
        expect(button(app, "Start")).to_be_enabled()
        expect_query(app, "ft_rank=6", "ft_steps=5000")
        # Moved since the page was opened: the query that Streamlit sends has it at 5.
        expect(page.locator(".st-key-ft_rank input[type=range]")).to_have_value("6")
        assert page.get_by_test_id("stException").count() == 0
        assert "Traceback" not in log.read_text()
