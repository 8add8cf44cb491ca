"""Fine-tune in Chromium: a live race that is paused, stepped, left, found again and repeated."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser, Locator, expect
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from lolora_core.training import Method, fine_tune
from tests.browser.conftest import App

STEPS = 150
#: Of a race of many methods.
FEW = 40
#: A race whose end no test sees: ten seeds with as many steps as the page allows.
ENDLESS = "?ft_steps=5000&ft_seeds=10&ft_methods=global&ft_methods=localized"
#: One whose first seed takes minutes.
SLOW = f"{ENDLESS}&ft_task=Digits,+vision+transformer"


def open_page(app: App, query: str = "") -> None:
    app.page.goto(f"{app.url}/fine_tune{query}")
    expect(app.main.get_by_role("heading", name="Fine-tune")).to_be_visible()
    expect(button(app, "Start")).to_be_enabled()


def button(app: App, name: str) -> Locator:
    return app.main.get_by_role("button", name=name, exact=True)


def press(app: App, name: str) -> None:
    button(app, name).click()


def step(app: App) -> int:
    """Return the step that the page shows the race at."""
    text = app.main.get_by_text(re.compile(r"step [\d,]+ of")).first.inner_text()
    found = re.search(r"step ([\d,]+) of", text)
    assert found is not None
    return int(found[1].replace(",", ""))


#: Every place along the row at which Stop has stood, frame by frame.
WATCH_STOP = """() => {
  window.places = new Set();
  const look = () => {
    const stop = document.querySelector('.st-key-ft_stop');
    if (stop) window.places.add(Math.round(stop.getBoundingClientRect().x));
    requestAnimationFrame(look);
  };
  look();
}"""
#: The last step of the first curve of the loss; 0 before it is drawn.
LAST = (
    "(document.querySelector('.st-key-ft_train_loss .js-plotly-plot')?._fullData?.[0]?.x?.at(-1)"
    " ?? 0)"
)


def records(app: App) -> pd.DataFrame:
    with app.page.expect_download() as download:
        app.main.get_by_role("button", name="Records, CSV").click()
    return pd.read_csv(Path(download.value.path()))


def expect_end(app: App, steps: int = STEPS) -> None:
    expect(app.main.get_by_text(f"step {steps} of {steps}").first).to_be_visible()
    expect(app.main.get_by_role("button", name="Records, CSV")).to_be_visible()


def test_a_race_is_paused_stepped_left_and_found_again(app: App) -> None:
    open_page(app, f"{SLOW}&ft_curve=training")
    press(app, "Start")
    app.until(f"{LAST} > 0")
    app.page.evaluate(WATCH_STOP)
    press(app, "Pause")
    expect(app.main.get_by_text(re.compile("[Pp]aused")).first).to_be_visible()
    # What is pressed next must not move from under the pointer.
    assert app.page.evaluate("[...window.places].length") == 1
    held = step(app)
    with app.run(ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY, times=2):
        pass
    assert step(app) == held
    press(app, "Step")
    expect(app.main.get_by_text(f"step {held + 1:,} of 5,000").first).to_be_visible()
    # Away and back: the race is found where it was.
    app.page.get_by_role("link", name="Compare").click()
    app.rendered()
    expect(app.page.get_by_test_id("stSidebar")).to_contain_text(f"step {held + 1:,} of 5,000")
    app.page.get_by_role("link", name="Fine-tune").click()
    expect(app.main.get_by_text(f"step {held + 1:,} of 5,000").first).to_be_visible()
    press(app, "Resume")
    app.until(f"{LAST} > {held + 1}")
    press(app, "Stop")
    expect(app.main.get_by_text(re.compile("[Ss]topped")).first).to_be_visible()


#: A race of ten: families, variants, and methods of PEFT of every kind.
TEN = (
    "global", "localized", "blast", "full", "frozen",
    "peft-pissa", "peft-gralora", "peft-lokr", "peft-oft", "peft-shira",
)  # fmt: skip


def test_the_same_seed_gives_the_same_numbers_and_the_librarys(app: App) -> None:
    picked = "".join(f"&ft_methods={name}" for name in TEN)
    open_page(app, f"?ft_steps={FEW}{picked}")
    press(app, "Start")
    expect_end(app, FEW)
    expect(app.main).to_contain_text("is ahead with a test loss")
    first = records(app)
    press(app, "Reset, same seed")
    expect(button(app, "Pause")).to_be_visible()
    expect_end(app, FEW)
    again = records(app)
    same = ["method", "seed", "step", "train_loss", "eval_loss", "metric", "delta_norm"]
    pd.testing.assert_frame_equal(first[same], again[same], check_exact=True)
    assert first["seconds"].tolist() != again["seconds"].tolist()
    assert len(first) == len(TEN) * (FEW + 1)
    # The page's numbers are the library's.
    for name in TEN:
        mine = first[first.method == name].set_index("step")
        run = fine_tune("digits-rotated", Method(name, 8, 4), steps=FEW, device="cpu")
        losses = [record.train_loss for record in run][1:]
        assert mine["train_loss"].tolist()[1:] == pytest.approx(losses, rel=1e-3)
        assert run.best is not None
        assert mine.index[mine["stopped"]].tolist() == [run.best.step]


def test_stop_keeps_what_was_trained_and_it_opens_in_compare(app: App) -> None:
    open_page(app, ENDLESS)
    press(app, "Start")
    expect(app.main.get_by_text(re.compile(r"[Rr]unning: .*step [\d,]+ of 5,000"))).to_be_visible()
    expect(button(app, "Start")).to_have_count(0)
    press(app, "Stop")
    expect(app.main.get_by_text(re.compile("[Ss]topped")).first).to_be_visible()
    with app.page.expect_download() as download:
        app.main.get_by_role("button", name="Adapter, ZIP of safetensors").click()
    names = zipfile.ZipFile(io.BytesIO(Path(download.value.path()).read_bytes())).namelist()
    assert any(name.endswith(".safetensors") for name in names)
    with app.page.expect_download() as download:
        app.main.get_by_role("button", name="Records and plan, JSON").click()
    saved = json.loads(Path(download.value.path()).read_text())
    assert saved["plan"]["methods"] == ["global", "localized"]
    assert 0 < len(saved["records"]) < 10 * 2 * 5001
    press(app, "Open in Compare")
    app.rendered()
    expect(app.main.get_by_role("heading", name="Compare")).to_be_visible()
    expect(app.page.get_by_test_id("stSidebar")).to_contain_text("this session")


def test_a_rate_that_diverges_is_a_sentence(app: App) -> None:
    open_page(app, "?ft_steps=30&ft_methods=localized&ft_methods=full&ft_lr.full=1e11")
    press(app, "Start")
    warning = app.main.get_by_test_id("stAlert").filter(has_text="full: loss")
    expect(warning.first).to_contain_text(re.compile(r"at step \d+"))
    expect(warning.first).to_contain_text("A smaller learning rate may help.")


def test_a_link_repeats_a_race_and_rewind_shows_its_snapshots(app: App, browser: Browser) -> None:
    query = "?ft_steps=32&ft_rank=16&ft_methods=localized&ft_methods=full&ft_seed=3"
    open_page(app, query)
    press(app, "Start")
    expect(app.main).to_contain_text("Finished: step 32 of 32")
    expect(app.main).to_contain_text("after step 32.")
    app.slide("ft_rewind", -20)
    expect(app.main).to_contain_text("after step 12.")
    with browser.new_context() as context:
        other = App(context.new_page(), app.url)
        open_page(other, app.page.url.partition("fine_tune")[2])
        press(other, "Start")
        expect(other.main).to_contain_text("Finished: step 32 of 32")
        same = ["method", "step", "train_loss", "eval_loss", "metric", "delta_norm"]
        pd.testing.assert_frame_equal(records(app)[same], records(other)[same], check_exact=True)
    press(app, "New seed")
    expect(app.page).to_have_url(re.compile(r"ft_seed=4\b"))


def test_a_reload_finds_the_race_again_and_a_stranger_does_not(app: App, browser: Browser) -> None:
    open_page(app, "?ft_steps=4000&ft_methods=global")
    press(app, "Start")
    # The first race of the server imports what trains.
    expect(app.main.get_by_text(re.compile(r"step [\d,]+ of 4,000")).first).to_be_visible(
        timeout=60_000
    )
    press(app, "Pause")
    expect(app.main.get_by_text(re.compile("[Pp]aused")).first).to_be_visible()
    held = step(app)
    app.page.reload()
    expect(app.main.get_by_text(f"step {held:,} of 4,000").first).to_be_visible()
    expect(button(app, "Start")).to_have_count(0)
    with browser.new_context() as context:
        other = App(context.new_page(), app.url)
        open_page(other, app.page.url.partition("fine_tune")[2])
        expect(other.main).to_contain_text("Pick a task and methods in the sidebar")
        assert other.main.get_by_text(re.compile(r"step [\d,]+ of")).count() == 0
    press(app, "Stop")
    expect(button(app, "Start")).to_be_enabled()
    # So is one that has ended, with all that it offers.
    app.page.reload()
    expect(app.main.get_by_text(f"Stopped: step {held:,} of 4,000").first).to_be_visible()
    assert records(app)["step"].max() == held
