"""Fine-tune in Chromium: a race lives while one looks at it, elsewhere, and again."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from playwright.sync_api import Browser, Locator, expect
from safetensors.numpy import load

from lolora_core.training import Method, fine_tune
from tests.browser.conftest import App

STEP = re.compile(r"step ([\d,]+) of")


def open_page(app: App, query: str = "") -> None:
    app.page.goto(f"{app.url}/fine_tune{query}")
    expect(button(app, "start")).to_be_visible()


def button(app: App, name: str) -> Locator:
    # A button with a tooltip is in the page twice; one of the two is hidden.
    return app.page.locator(f".st-key-ft_{name} button:visible").first


def press(app: App, name: str) -> None:
    expect(button(app, name)).to_be_enabled()
    button(app, name).click()


def status(app: App) -> Locator:
    return app.main.get_by_test_id("stProgress").first


def step_now(app: App) -> int:
    found = STEP.search(status(app).inner_text())
    assert found is not None
    return int(found[1].replace(",", ""))


def points(app: App, key: str) -> int:
    """How many points the longest line of a figure has."""
    script = "node => Math.max(0, ...node._fullData.map(line => line.x.length))"
    found: int = app.page.locator(f".st-key-{key} .js-plotly-plot").evaluate(script)
    return found


def records(app: App) -> pd.DataFrame:
    with app.page.expect_download() as download:
        app.page.get_by_role("button", name="Records, CSV").click()
    return pd.read_csv(download.value.path())


def finished(app: App) -> None:
    expect(app.main).to_contain_text("Finished: ", timeout=60_000)
    expect(app.main).to_contain_text("the lowest test loss")


def test_curves_grow_and_the_race_pauses_steps_goes_on_elsewhere_and_stops(app: App) -> None:
    open_page(app, "?ft_steps=5000&ft_methods=global&ft_methods=full&ft_curve=training")
    press(app, "start")
    expect(status(app)).to_contain_text("Running: step", timeout=30_000)
    expect(app.page.locator(".st-key-ft_train_loss .js-plotly-plot")).to_have_count(1)
    expect(app.main).to_contain_text(re.compile("about .* left"))
    before = points(app, "ft_train_loss")
    app.page.wait_for_function(
        "n => Math.max(...document.querySelector('.st-key-ft_train_loss .js-plotly-plot')"
        "._fullData.map(line => line.x.length)) > n + 20",
        arg=before,
    )
    press(app, "pause")
    expect(status(app)).to_contain_text("Paused: step")
    held = step_now(app)
    press(app, "step")
    expect(status(app)).to_contain_text(f"Paused: step {held + 1:,} of 5,000")
    expect(app.main.get_by_test_id("stImage").first).to_be_visible()
    press(app, "resume")
    expect(status(app)).to_contain_text("Running: step")
    app.page.get_by_role("link", name="Compare").click()
    app.rendered()
    elsewhere = app.page.get_by_test_id("stSidebar").get_by_test_id("stProgress")
    expect(elsewhere).to_contain_text("Fine-tune: running, step")
    first = elsewhere.inner_text()
    expect(elsewhere).not_to_have_text(first)
    app.page.get_by_role("link", name="Fine-tune").click()
    expect(status(app)).to_contain_text("Running: step")
    assert step_now(app) > held + 1
    press(app, "start")
    expect(app.main).to_contain_text("A race is still running")
    press(app, "stop")
    expect(app.main).to_contain_text("Stopped: step")
    expect(app.main).to_contain_text("Nobody has won")
    assert len(records(app)) > 2 * held


def test_the_same_seed_gives_the_same_numbers_and_a_link_repeats_them(
    app: App, browser: Browser
) -> None:
    query = "?ft_steps=30&ft_rank=16&ft_methods=localized&ft_methods=full&ft_seed=3"
    open_page(app, query)
    press(app, "start")
    finished(app)
    first = records(app)
    method = Method("localized", rank=16, grid=4)
    alone = list(fine_tune("digits-rotated", method, steps=30, seed=3, device="cpu"))
    norms = first[first["method"] == "localized"]["delta_norm"].to_numpy()
    np.testing.assert_allclose(norms, [record.delta_norm for record in alone], rtol=1e-12)
    press(app, "again")
    expect(app.main).to_contain_text("In training")
    finished(app)
    pd.testing.assert_frame_equal(_numbers(first), _numbers(records(app)))
    with browser.new_context() as context:
        other = App(context.new_page(), app.url)
        open_page(other, app.page.url.partition("fine_tune")[2])
        press(other, "start")
        finished(other)
        pd.testing.assert_frame_equal(_numbers(first), _numbers(records(other)))
    press(app, "new_seed")
    expect(app.page).to_have_url(re.compile(r"ft_seed=4\b"))
    finished(app)
    assert not _numbers(first).equals(_numbers(records(app)))


def _numbers(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[["method", "step", "train_loss", "eval_loss", "metric", "delta_norm"]]


def test_rewind_downloads_and_the_way_to_compare(app: App, tmp_path: Path) -> None:
    open_page(app, "?ft_steps=32&ft_methods=global&ft_methods=full")
    press(app, "start")
    finished(app)
    expect(app.main).to_contain_text("after step 32.")
    app.slide("ft_rewind", -20)
    expect(app.main).to_contain_text("after step 12.")
    with app.page.expect_download() as download:
        app.page.locator(".st-key-ft_adapter button").click()
    with zipfile.ZipFile(io.BytesIO(Path(download.value.path()).read_bytes())) as archive:
        factors: dict[str, Any] = load(archive.read("adapters.safetensors"))
        assert any(name.startswith("fc1.") for name in factors)
        assert "head.safetensors" in archive.namelist()
    app.page.locator(".st-key-ft_open button").click()
    expect(app.main.get_by_role("heading", name="Compare")).to_be_visible()
    app.rendered()
    expect(app.page.get_by_test_id("stSidebar")).to_contain_text("ΔW of fc1 that full learned")
    app.slide("rank", 1)
    expect(app.page).to_have_url(re.compile(r"rank=33"))
    expect(app.page.get_by_test_id("stSidebar")).to_contain_text("ΔW of fc1 that full learned")


def test_one_that_diverges_is_said_so(app: App) -> None:
    open_page(app, "?ft_task=Planted+%CE%94W%2C+block+low+rank&ft_steps=30&ft_methods=global"
              "&ft_methods=full&ft_lr.global=1e12")  # fmt: skip
    press(app, "start")
    expect(app.main).to_contain_text(re.compile(r"global: loss became \S+ at step \d+"))
    expect(app.main).to_contain_text("full reached a test loss")
