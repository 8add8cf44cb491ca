"""Two visitors of one server at once: nothing of one is seen, named or recalled by the other."""

from __future__ import annotations

from typing import Any

import numpy as np
from playwright.sync_api import Browser, expect
from skimage import data

from tests.browser.conftest import App
from tests.browser.test_compare import errors, expect_errors, png
from tests.browser.test_what_if import expect_query, expect_sentence


def test_each_sees_only_what_is_theirs(
    app: App, browser: Browser, browser_context_args: dict[str, Any]
) -> None:
    rng = np.random.default_rng(5)
    mine, theirs = (rng.integers(0, 256, (48, 64), dtype=np.uint8) for _ in range(2))
    sent: list[str] = []
    app.page.on("request", lambda asked: sent.extend([asked.url] * (asked.method == "PUT")))
    with browser.new_context(**browser_context_args) as context:
        other = App(context.new_page(), app.url)
        app.open("?target=upload&rank=4")
        other.open("?target=upload&rank=6&rows=4&cols=4")
        # One name, two files.
        app.upload("picture.png", png(mine))
        other.upload("picture.png", png(theirs))
        expect_errors(app, errors(mine / 255, 4, 8))
        expect_errors(other, errors(theirs / 255, 6, 4))
        other.page.get_by_role("link", name="What if").click()
        app.slide("rank", 1)
        expect_sentence(other, theirs / 255, 6)
        expect_errors(app, errors(mine / 255, 5, 8))
        # The link holds settings; of the upload it holds nothing.
        expect_query(app, "target=upload", "rank=5")
        other.page.goto(app.page.url)
        other.rendered()
        sidebar = other.page.get_by_test_id("stSidebar")
        expect(sidebar).to_contain_text("An upload is not part of a link.")
        expect(sidebar).to_contain_text("Until then you see: Camera")
        expect_errors(other, errors(data.camera() / 255, 5, 8))
        # Nor is it given to who knows where it was sent.
        (address,) = sent
        assert png(mine) not in context.request.get(address).body()
        expect_errors(app, errors(mine / 255, 5, 8))
        assert other.page.get_by_test_id("stException").count() == 0
