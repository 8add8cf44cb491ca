"""What if in Chromium: real, synthetic and own targets; cells, paint box, links and files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import expect
from safetensors.numpy import save
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from app.shared.style import LUTS
from lolora_core import Grid, advise, approximate, budget_for_rank, reorder
from lolora_core.targets import load
from tests.browser.conftest import App


def open_page(app: App, query: str = "") -> None:
    app.go(f"what_if{query}")
    expect(app.main.get_by_role("heading", name="What if")).to_be_visible()
    expect(app.main.get_by_text("All settings are under Share")).to_be_visible()


def expect_sentence(app: App, w: np.ndarray, rank: int) -> None:
    sentence = str(advise(w, budget=budget_for_rank(w.shape, rank)))
    expect(app.main).to_contain_text(sentence)


def expect_query(app: App, *parts: str) -> None:
    """Expect parts of the address, in any order."""
    ahead = "".join(f"(?=.*[?&]{part}(&|$))" for part in parts)
    expect(app.page).to_have_url(re.compile(f"^{ahead}"))


def click_cell(app: App, key: str, x: float, y: float) -> None:
    """Click at a fraction of the drawing area of a figure."""
    area = app.page.locator(f".st-key-{key} .nsewdrag").first
    area.hover()
    box = area.bounding_box()
    assert box is not None
    place = {"x": x * box["width"], "y": y * box["height"]}
    # Plotly picks what the pointer hovers over.
    area.hover(position=place)  # type: ignore[arg-type]
    expect(app.page.locator(f".st-key-{key} .hovertext")).to_have_count(1)
    area.click(position=place)  # type: ignore[arg-type]


def test_settings_follow_from_page_to_page(app: App) -> None:
    app.open("?target=Brick+wall&rank=24")
    app.page.get_by_role("link", name="What if").click()
    expect_sentence(app, load("brick").array, 24)
    expect_query(app, "target=brick", "rank=24")
    expect(app.page).to_have_url(re.compile(r"/what_if\?"))
    app.slide("rank", 2)
    expect_sentence(app, load("brick").array, 26)
    app.page.get_by_role("link", name="Compare").click()
    app.rendered()
    expect_query(app, "target=brick", "rank=26")
    expect(app.page.locator(".panel").filter(has_text="global")).to_contain_text("26,624")


def test_rows_by_columns_and_its_cells(app: App) -> None:
    open_page(app, "?target=MiniLM+layer+0+query&rank=24")
    button = app.page.locator(".st-key-sweep_pairs button")
    if button.count():  # Asked first where the machine is slow.
        button.click()
    w = load("minilm-0-query").array
    errors = {
        (r, c): approximate(
            w, "localized", budget=budget_for_rank(w.shape, 24), grid=(r, c)
        ).relative_error
        for r in (1, 2, 4, 8, 16, 32)
        for c in (1, 2, 4, 8, 16, 32)
    }
    low = min(errors, key=lambda pair: round(errors[pair], 7))
    expect(app.main).to_contain_text(
        f"localized does best on {low[0]}×{low[1]} blocks, error {errors[low]:#.3g}"
    )
    click_cell(app, "rectangles", 1.5 / 6, 2.5 / 6)
    app.rendered()
    expect_query(app, "rows=4", "cols=2", "linked=false")


def test_painting_by_hand_and_by_keys_is_in_the_link(app: App) -> None:
    stroke = ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY
    open_page(app, "?rank=4&rows=4&cols=4")
    place = app.page.locator(".st-key-paint_map .place")
    picture = app.page.locator(".st-key-paint_map img")
    expect(app.main).to_contain_text("Nothing is painted yet: the error is 1")
    expect(picture).to_have_attribute("alt", "Rebuilt from your ranks. Error 1.00.")
    empty = picture.get_attribute("src")
    place.hover()
    box = place.locator("canvas").bounding_box()
    assert box is not None
    x, y, side = box["x"], box["y"], box["width"] / 4
    app.page.mouse.move(x + 1.5 * side, y + 1.5 * side)
    app.page.mouse.down()
    app.page.mouse.move(x + 2.5 * side, y + 1.5 * side, steps=4)
    with app.run(stroke):
        app.page.mouse.up()
    expect_query(app, r"paint=0x4_0\.8x2\.0_0x4_0x4")
    w, ranks = load("camera").array, np.zeros((4, 4), dtype=np.int64)
    ranks[1, 1:3] = 8
    error = approximate(w, grid=4, rank_map=ranks).relative_error
    expect(picture).to_have_attribute("alt", f"Rebuilt from your ranks. Error {error:#.3g}.")
    assert picture.get_attribute("src") != empty
    expect(app.main).to_contain_text("with 0 of 4,096 parameters left")
    place.press("ArrowDown")
    with app.run(stroke):
        place.press("Space")
    expect(app.main).to_contain_text("needs 2,048 more parameters and you have 0 left, so 2,048")
    expect_query(app, r"paint=0x4_0\.8x2\.0_0x4_0x4")
    place.press("ArrowUp")
    with app.run(stroke):
        place.press("-")
    expect(place.locator("..")).to_contain_text("Block (1, 2): rank 7 of at most 128")
    expect_query(app, r"paint=0x4_0\.8\.7\.0_0x4_0x4")
    with app.page.expect_download() as download:
        app.page.get_by_role("button", name="Rank map, JSON").click()
    saved = json.loads(Path(download.value.path()).read_text())
    grid = Grid(tuple(saved["row_edges"]), tuple(saved["col_edges"]))
    own = approximate(w, grid=grid, rank_map=saved["rank_map"])
    assert own.relative_error == pytest.approx(saved["relative_error"], abs=1e-9)
    assert own.num_parameters == saved["num_parameters"] == 15 * 256
    app.page.get_by_role("button", name="Fill like adaptive").click()
    expect(app.main).to_contain_text("You found the best")


def test_rows_and_columns_go_to_their_places(app: App) -> None:
    app.page.emulate_media(reduced_motion="reduce")
    open_page(app, "?target=permuted-blocks&permuted-blocks.size=64&rank=8&reorder=true")
    moving = app.page.locator(".st-key-moving .moving")
    expect(moving).to_have_attribute("data-ready", "true")
    pixels = "canvas => canvas.toDataURL()"
    before = moving.locator("canvas").evaluate(pixels)
    handle = moving.locator("input")
    handle.focus()
    handle.press("ArrowRight")
    expect(moving).to_contain_text("rows are on their way")
    assert moving.locator("canvas").evaluate(pixels) != before
    moving.get_by_role("button", name="Play").click()
    expect(moving).to_contain_text("after: rows and columns in place")
    target = load("permuted-blocks", size=64)
    found = reorder(target.array, budget=budget_for_rank(target.shape, 8), grid=8)
    # In its place, the block at the top left is what the order says, entry by entry.
    places = moving.locator("canvas").evaluate(
        """canvas => {
          const context = canvas.getContext("2d");
          const entry = (i, j) => [...context.getImageData(
            (j + 0.5) * canvas.width / 64, (i + 0.5) * canvas.height / 64, 1, 1).data].join();
          return [0, 1, 2, 3].map(i => [0, 1, 2, 3].map(j => entry(i, j)));
        }"""
    )
    block = found.apply(target.array)[:4, :4]
    low, high = np.quantile(target.array, (0.05, 0.95))
    levels = np.round(np.clip((block - low) / (high - low), 0, 1) * 255).astype(int)
    table = np.frombuffer(LUTS["values"], np.uint8).reshape(256, 3)
    assert places == [[",".join(map(str, (*table[at], 255))) for at in row] for row in levels]


def test_an_own_upload(app: App) -> None:
    open_page(app, "?rank=4")
    app.select("target", "Own upload")
    w = np.random.default_rng(0).normal(size=(40, 72)).astype(np.float32)
    app.upload("model.safetensors", save({"layer.weight": w}))
    expect_sentence(app, w, 4)


def test_files(app: App) -> None:
    open_page(app, "?target=Brick+wall")
    with app.page.expect_download() as download:
        app.page.get_by_role("button", name="Sweep, CSV").click()
    table = pd.read_csv(Path(download.value.path()))
    w = load("brick").array
    row = table[(table.family == "adaptive") & (table.grid_rows == 8) & (table.budget == 32768)]
    expected = approximate(w, "adaptive", budget=32768, grid=8).relative_error
    assert row.relative_error.item() == pytest.approx(expected, abs=1e-5)
    with app.page.expect_download() as download:
        app.page.get_by_role("button", name="Pareto front, CSV").click()
    front = pd.read_csv(Path(download.value.path()))
    assert (np.diff(front.num_parameters) > 0).all()
    assert (np.diff(front.relative_error) < 0).all()


def test_adviser_aims_are_in_the_link(app: App) -> None:
    open_page(app, "?aim=error&aim_error=0.05")
    expect(app.main).to_contain_text(str(advise(load("camera").array, error=0.05)))
    open_page(app, "?aim=energy&aim_energy=0.99&grids=divisors&logx=false")
    expect(app.main).to_contain_text("The fewest parameters for 99 % of the energy")
    expect_query(app, "logx=false")
