"""Compare in Chromium: what a visitor changes is what pictures, table and URL then say."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect
from safetensors.numpy import save
from skimage import data

from lolora_core import FAMILIES, approximate, budget_for_rank
from lolora_core.targets import catalogue, load
from tests.browser.conftest import App
from tests.browser.test_what_if import expect_query

#: The families that the page shows by itself.
READ = [name for name, family in FAMILIES.items() if family.from_spectra]


def errors(w: np.ndarray, rank: int, grid: int | tuple[int, int]) -> dict[str, float]:
    budget = budget_for_rank(w.shape, rank)
    return {name: approximate(w, name, budget=budget, grid=grid).relative_error for name in READ}


def expect_errors(app: App, expected: dict[str, float]) -> None:
    for name, error in expected.items():
        panel = app.page.locator(".panel").filter(has_text=name)
        expect(panel).to_contain_text(f"error {error:#.3g}")


def test_opens_with_the_camera(app: App) -> None:
    app.open()
    expect(app.page).to_have_title("Compare · Localized LoRA Explorer")
    expect(app.main).to_contain_text(
        "Adaptive comes closest. Its error is 0.0618; the next best is global with 0.0804."
    )
    expect_errors(app, errors(data.camera() / 255, 32, 8))
    expect(app.main).to_contain_text("Every family spends the whole budget.")
    expect(app.page.locator(".panel img.drawing:visible")).to_have_count(4)
    # Computed when it is seen, and said to be so.
    expect(app.page.locator(".st-key-unseen_curve")).to_contain_text("when you come here")
    app.see("curve")
    expect(app.page.get_by_alt_text("Localized: 64 blocks with B and A of rank 4;")).to_be_visible()


def test_a_target_is_picked_from_pictures(app: App) -> None:
    app.open()
    token = app.rendered()
    app.page.get_by_role("button", name="Choose from pictures").click()
    gallery = app.page.get_by_role("dialog")
    cards = gallery.get_by_role("button").filter(has=app.page.locator(".name"))
    expect(cards).to_have_count(len(catalogue()) + 1)
    expect(gallery.locator("[aria-current]")).to_have_text("Camera")
    gallery.get_by_role("button", name="Brick wall").press("Enter")
    app.wait_for_new_pictures(token)
    expect(gallery).to_have_count(0)
    expect(app.page).to_have_url(f"{app.url}/compare?target=brick")


def test_target_budget_and_grid_change_pictures_table_and_url(app: App) -> None:
    app.open()
    app.see("curve", "figures")
    token = app.rendered()
    app.select("target", "Brick wall")
    token = app.wait_for_new_pictures(token)
    brick = data.brick() / 255
    expect_errors(app, errors(brick, 32, 8))
    expect(app.page).to_have_url(f"{app.url}/compare?target=brick")
    app.slide("rank", 3)
    expect(app.page).to_have_url(re.compile(r"[?&]rank=35\b"))
    expect_query(app, "target=brick")
    expect_errors(app, errors(brick, 35, 8))
    app.page.get_by_role("button", name="r = 40 ▸").click()
    expect_errors(app, errors(brick, 40, 8))
    app.number("rows", 4)
    expect_errors(app, errors(brick, 40, 4))
    expect_query(app, "target=brick", "rank=40", "rows=4", "cols=4")
    # Drawn after the table: once it is new, so is the file behind the button.
    expect(app.main).to_contain_text("and rank 7 to the plainest")
    with app.page.expect_download() as download:
        app.page.locator(".st-key-csv button").click()
    table = pd.read_csv(download.value.path())
    found = dict(zip(table["family"], table["relative error"], strict=True))
    assert found == pytest.approx(errors(brick, 40, 4), abs=1e-9)
    assert table["parameters"].tolist() == [40 * 1024] * 4


def test_a_link_restores_the_view_elsewhere(app: App, browser: Browser) -> None:
    query = "?target=MiniLM+layer+0+query&rank=24&rows=12&cols=1&linked=false"
    app.open(query + "&view=signed+error&scale=1%2F4&lines=true&block_row=3")
    w = load("minilm-0-query").array
    budget = budget_for_rank(w.shape, 24)
    for name in ("global", "localized", "adaptive"):
        error = approximate(w, name, budget=budget, grid=(12, 1)).relative_error
        expect(app.page.locator(".panel").filter(has_text=name)).to_contain_text(f"{error:#.3g}")
    expect(app.page.locator(".panel").filter(has_text="diagonal")).to_contain_text(
        "as many block rows as block columns"
    )
    app.page.get_by_role("button", name="Share").click()
    link = app.page.get_by_test_id("stCode").inner_text().strip()
    figures = app.figures()
    other = browser.new_context().new_page()
    there = App(other, app.url)
    other.goto(link)
    there.rendered()
    expect(other.locator(".panel").filter(has_text="target")).to_contain_text("384")
    assert there.figures() == figures
    there.see("curve")
    expect(other.get_by_test_id("stMain")).to_contain_text("Block (3, 0)")
    other.context.close()


def test_reset_is_one_click(app: App) -> None:
    app.open("?target=Brick+wall&rank=64&rows=4&cols=4&view=per+block&log=false")
    app.page.locator(".st-key-reset button").click()
    expect(app.main).to_contain_text("Adaptive comes closest. Its error is 0.0618")
    expect(app.page).to_have_url(f"{app.url}/compare")


def test_settings_as_a_file(app: App, tmp_path: Path) -> None:
    app.open("?target=Brick+wall&rank=64")
    app.page.get_by_role("button", name="Share").click()
    with app.page.expect_download() as download:
        app.page.get_by_role("button", name="Settings as JSON").click()
    saved = json.loads(Path(download.value.path()).read_text())
    assert (saved["target"], saved["rank"], saved["view"]) == ("brick", 64, "reconstruction")
    saved |= {"target": "camera", "rank": 16, "cols": 999, "colour": "yes", "unknown": 1}
    app.page.locator(".st-key-settings_file input[type=file]").set_input_files(
        {"name": "s.json", "mimeType": "application/json", "buffer": json.dumps(saved).encode()}
    )
    expect_errors(app, errors(data.camera() / 255, 16, 8))
    for sentence in ("“cols” cannot be 999", "“colour” cannot be 'yes'", "“unknown” is not a"):
        expect(app.page.get_by_text(sentence)).to_be_visible()


def test_a_picked_block_shows_its_figures(app: App) -> None:
    app.open()
    picture = app.page.locator(".panel canvas.base").nth(1)
    box = picture.bounding_box()
    assert box is not None
    with app.run():
        picture.click(position={"x": box["width"] * 0.57, "y": box["height"] * 0.70})
    app.see("curve")
    expect(app.main).to_contain_text("Block (5, 4), counted from 0, has 64×64 entries")
    expect(app.page).to_have_url(f"{app.url}/compare?block_row=5&block_col=4")
    app.number("block_row", 2)
    expect(app.main).to_contain_text("Block (2, 4)")


def png(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(array).save(out, "PNG")
    return out.getvalue()


def test_uploads(app: App) -> None:
    rng = np.random.default_rng(0)
    app.open("?rank=4")
    app.select("target", "Own upload")
    expect(app.page.get_by_text("An upload is not part of a link")).to_be_visible()
    image = rng.integers(0, 256, (48, 64), dtype=np.uint8)
    app.upload("noise.png", png(image))
    expect_errors(app, errors(image / 255, 4, 8))
    w = rng.normal(size=(40, 72)).astype(np.float32)
    tensors = {"bias": np.ones(3, np.float32), "layer.weight": w}
    app.upload("model.safetensors", save(tensors))
    expect_errors(app, errors(w, 4, 8))
    expect(app.page.get_by_text("Tensor (1 of 2 can be read as a matrix)")).to_be_visible()


BAD = {
    "evil.pt": (b"PK\x03\x04", "pickle"),
    "broken.png": (png(np.zeros((8, 8), np.uint8))[:40], "broken.png"),
    "text.npy": (b"hello", "text.npy"),
    "huge.safetensors": (b"\xff" * 16, "huge.safetensors"),
}


def test_a_bad_upload_is_a_sentence_and_the_last_good_view_stays(app: App) -> None:
    app.open("?target=Brick+wall")
    app.select("target", "Own upload")
    for name, (content, sentence) in BAD.items():
        app.upload(name, content)
        alert = app.page.get_by_test_id("stSidebar").get_by_test_id("stAlert")
        expect(alert.filter(has_text=sentence).first).to_be_visible()
        expect(app.page.get_by_text("Until then you see: Brick wall")).to_be_visible()
        expect_errors(app, errors(data.brick() / 255, 32, 8))


def test_a_grid_larger_than_the_matrix_is_a_sentence(app: App) -> None:
    app.open("?rank=1")
    app.select("target", "Own upload")
    out = io.BytesIO()
    np.save(out, np.arange(30.0).reshape(5, 6))
    app.upload("small.npy", out.getvalue())
    expect(app.page.get_by_text("8×8 does not fit a 5×6 matrix")).to_be_visible()
    app.page.get_by_role("button", name="Use 5×6").click()
    expect(app.page.get_by_text("does not fit")).to_have_count(0)
    expect_query(app, "rows=5")


def test_colour_is_three_matrices(app: App) -> None:
    app.open("?target=Astronaut&colour=true")
    expect(app.page.get_by_text("for each of the three colours")).to_be_visible()
    expect(app.page.locator(".panel").filter(has_text="global")).to_contain_text("98,304")
