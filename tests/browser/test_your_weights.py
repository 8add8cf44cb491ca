"""Your weights in Chromium: from the survey to the adapter, opened with PEFT and the library."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from peft import PeftModel
from playwright.sync_api import Browser, expect
from safetensors.torch import load, save

from lolora_core.adapters import load_adapters
from lolora_core.checkpoints import extract_adapters, read_peft, survey
from lolora_core.explore.curves import knee
from lolora_core.targets import load as load_target
from lolora_core.targets.weights import asset_path
from lolora_core.training.tasks.models import DigitsTransformer
from tests.browser import workers
from tests.browser.conftest import App
from tests.browser.test_what_if import click_cell, expect_query

Weights = dict[str, torch.Tensor]


def open_page(app: App, query: str = "") -> None:
    app.go(f"your_weights{query}")  # Figures that are still growing would shut an open list.
    expect(app.main.get_by_role("heading", name="Your weights")).to_be_visible()
    app.see("adapter")
    expect(app.main.get_by_text("The zip holds one folder")).to_be_visible()
    expect(app.page.locator(".js-plotly-plot")).to_have_count(3)


def weights(stem: str) -> Weights:
    return load(asset_path(f"{stem}.safetensors").read_bytes())


def upload(app: App, key: str, name: str, data: bytes) -> None:
    app.page.locator(f".st-key-{key} input[type=file]").set_input_files(
        {"name": name, "mimeType": "application/octet-stream", "buffer": data}
    )


def whole_upload(app: App, key: str, name: str, data: bytes) -> None:
    """Upload, and let the run that it begins end: Streamlit fails where two write one session."""
    with app.run():
        upload(app, key, name, data)


def segment(app: App, key: str, option: str) -> None:
    """Choose an option that is not yet chosen, and let the run that it begins end."""
    with app.run():
        app.page.locator(f".st-key-{key}").get_by_role(
            "radio", name=option, exact=True
        ).first.click()


def take(app: App, folder: Path) -> Path:
    """Download the adapter and unpack it."""
    with app.page.expect_download() as download:
        app.page.locator(".st-key-adapter button").click()
    stem = download.value.suggested_filename.removesuffix(".zip")
    with zipfile.ZipFile(download.value.path()) as packed:
        packed.extractall(folder)
    assert (folder / stem / "README.md").is_file()
    return folder / stem


def base_model() -> DigitsTransformer:
    model = DigitsTransformer()
    model.load_state_dict(weights("digits-transformer-base"))
    return model.eval()


def test_the_default_pair_from_survey_to_download(app: App, tmp_path: Path) -> None:
    open_page(app, "?rank=16")
    before, after = weights("digits-transformer-base"), weights("digits-transformer-rotated")
    frame = survey(before, after, rank=16, grids=[8]).frame()
    energy = frame["update_norm"] ** 2
    error = float(np.sqrt((frame["error_global"] ** 2 * energy).sum() / energy.sum()))
    expect(app.main).to_contain_text(f"error {error:#.3g} over all matrices")
    curve = survey(before, after, grids=[8], curve=True).curve()
    at = knee(curve["rank"].tolist(), curve["error_global"].tolist())
    expect(app.main).to_contain_text(f"The knee is at r = {curve['rank'][at]}")
    found = extract_adapters(before, after, family="global", rank=16)
    expect(app.main).to_contain_text("The base with this adapter reads")
    expect(app.main).to_contain_text(
        f"error {found.relative_error:#.3g} on these and", use_inner_text=True
    )
    inner = take(app, tmp_path)
    assert inner.name == "digits-transformer-rotated-global-r16-float32-peft"
    x = torch.rand(7, 64)
    theirs = PeftModel.from_pretrained(base_model(), str(inner)).eval()(x)
    ours = found.adapters.install(base_model()).eval()(x)
    torch.testing.assert_close(theirs, ours, atol=1e-4, rtol=1e-3)
    assert (theirs - base_model()(x)).abs().max() > 0.1
    assert set(read_peft(inner).terms) == set(found.adapters.terms)
    with app.page.expect_download() as download:
        app.page.get_by_role("button", name="Survey, CSV").click()
    table = pd.read_csv(Path(download.value.path()))
    assert table["name"].tolist() == frame["name"].tolist()
    assert table["error_adaptive_8x8"].to_numpy() == pytest.approx(
        frame["error_adaptive_8x8"].to_numpy(), abs=1e-5, nan_ok=True
    )


def test_blocks_in_the_format_of_this_library(app: App, tmp_path: Path) -> None:
    open_page(app, "?rows=4&cols=4&rank=8")
    with app.run():
        app.select("keep", "adaptive")
    segment(app, "spend", "shared")
    segment(app, "stored", "float16")
    segment(app, "format", "lolora_core")
    found = extract_adapters(
        weights("digits-transformer-base"),
        weights("digits-transformer-rotated"),
        family="adaptive",
        grid=4,
        rank=8,
        shared=True,
        dtype=torch.float16,
    )
    expect(app.main).to_contain_text(f"{found.adapters.num_parameters:,} parameters")
    expect(app.main).to_contain_text("load_adapters(model,")
    expect_query(app, "keep=adaptive", "spend=shared", "stored=float16", "format=lolora_core")
    x = torch.rand(7, 64)
    theirs = load_adapters(base_model(), take(app, tmp_path)).eval()(x)
    ours = found.adapters.install(base_model()).eval()(x)
    torch.testing.assert_close(theirs, ours, atol=1e-5, rtol=1e-4)


def test_a_cell_is_picked_and_its_update_opens(app: App, browser: Browser) -> None:
    open_page(app)
    # The fifth kind of nine is query, the second layer of three is 1.
    click_cell(app, "structure_map", 4.5 / 9, 1.5 / 3)
    expect_query(app, r"matrix=blocks\.1\.query\.weight")
    picked = "is 96 × 96, stored as F32. Its change has size 1.70"
    expect(app.main).to_contain_text(picked)
    other = browser.new_context().new_page()
    other.goto(app.page.url)
    expect(other.get_by_test_id("stMain")).to_contain_text(
        "is 96 × 96, stored as F32. Its change has size 1.70"
    )
    other.context.close()
    app.page.get_by_role("button", name="Open in Compare").click()
    app.rendered()
    expect(app.main.get_by_role("heading", name="Compare")).to_be_visible()
    sidebar = app.page.get_by_test_id("stSidebar")
    expect(sidebar).to_contain_text("ΔW of blocks.1.query, Digits transformer")
    own = app.figures()
    # The bundled target of the same matrix has the same figures.
    assert load_target("update-vit-1-query").shape == (96, 96)
    with app.run():
        app.select("target", "ΔW ViT block 1 query")
    expect(sidebar).to_contain_text("Update of the query weights")
    assert app.figures() == own
    app.page.get_by_role("link", name="Your weights").click()
    app.page.get_by_role("button", name="Open in What if").click()
    expect(app.main.get_by_role("heading", name="What if")).to_be_visible()
    expect(sidebar).to_contain_text("ΔW of blocks.1.query, Digits transformer")


def test_uploads_good_and_bad(app: App, tmp_path: Path) -> None:
    torch.manual_seed(0)
    before = {"enc.0.fc.weight": torch.randn(48, 32), "enc.0.fc.bias": torch.zeros(48)}
    block = torch.zeros(48, 32)
    block[:6, :4] = torch.randn(6, 4)
    after = before | {"enc.0.fc.weight": before["enc.0.fc.weight"] + block}
    open_page(app, "?pair=own+upload&rank=2")
    expect(app.main).to_contain_text("Upload the weights before and after fine-tuning")
    expect(app.main).to_contain_text("Until then you see: Digits transformer")
    whole_upload(app, "base_file", "before.safetensors", save(before))
    # What it is stands there before anything is surveyed.
    expect(app.main).to_contain_text("This is a whole model: norms, biases and other vectors")
    expect(app.main).to_contain_text("Upload the other of the two files as well")
    whole_upload(app, "tuned_file", "after.safetensors", save(after))
    expect(app.main).to_contain_text("before.safetensors → after.safetensors: 1 matrix at")
    expect(app.main).to_contain_text(re.compile("adaptive on 8×8 blocks holds the change best"))
    for name, data, words in (
        ("cut.safetensors", save(after)[:-9], "is cut off"),
        ("other.safetensors", save({"x": torch.ones(3, 3)}), "not checkpoints of one model"),
        ("old.safetensors", b"PK\x03\x04" + bytes(90), "a pickle in a zip, as torch.save"),
    ):
        whole_upload(app, "tuned_file", name, data)
        expect(app.main).to_contain_text(words)
        expect(app.main).to_contain_text("before.safetensors → after.safetensors")
    # An upload outlives a change of page.
    whole_upload(app, "tuned_file", "after.safetensors", save(after))
    expect(app.page.get_by_test_id("stAlertContentError")).to_have_count(0)
    app.page.get_by_role("link", name="What if").click()
    expect(app.main.get_by_role("heading", name="What if")).to_be_visible()
    with app.run():
        app.page.get_by_role("link", name="Your weights").click()
    expect(app.main).to_contain_text("before.safetensors → after.safetensors: 1 matrix at")
    app.see("adapter")
    expect(app.page.locator(".st-key-format [aria-checked=true]")).to_have_text("PEFT")
    (term,) = read_peft(take(app, tmp_path)).terms["enc.0.fc"]
    assert term.layout.grid.shape == (48, 32)


def survey_that_hangs(app: App) -> set[int]:
    """Wait until a survey goes on in a process that stands still; return the ids of all."""
    expect(app.page.locator(".st-key-stop_survey button")).to_be_visible()
    while not (held := workers.hold()):
        app.page.wait_for_timeout(20)  # It is being started.
    return held


def test_a_large_survey_stops_and_goes_on(app: App) -> None:
    torch.manual_seed(0)
    before = {f"h.{i}.fc.weight": torch.randn(512, 512).half() for i in range(24)}
    after = {name: w + 2 * torch.randn(512, 512).half() for name, w in before.items()}
    open_page(app, "?pair=own+upload")
    whole_upload(app, "base_file", "before.safetensors", save(before))
    workers.hold()
    upload(app, "tuned_file", "after.safetensors", save(after))
    held = survey_that_hangs(app)
    # It hears nothing, so its process is killed; what it had written is kept.
    app.page.locator(".st-key-stop_survey button").click()
    expect(app.main).to_contain_text(re.compile(r"Stopped: \d+ of 24 matrices are done"))
    while held <= workers.running():
        app.page.wait_for_timeout(20)
    workers.let_go()
    app.page.locator(".st-key-continue_survey button").click()
    expect(app.main.get_by_text("24 matrices at r = 32")).to_be_visible(timeout=90_000)
    expect(app.main).to_contain_text("tuned is probably not a fine-tune of base")
    # Whoever closes the tab in the middle of it frees the place as well.
    workers.hold()
    app.slide("rank", 1)
    held = survey_that_hangs(app)
    app.page.goto("about:blank")
    while held <= workers.running():
        app.page.wait_for_timeout(20)
    workers.let_go()


def test_a_hub_that_never_answers_is_stopped(app: App) -> None:
    app.page.goto(
        f"{app.url}/your_weights?pair=from+the+Hub&hub_base=silent/base&hub_tuned=silent/tuned"
    )
    stop = app.page.locator(".st-key-stop_hub button")
    expect(stop).to_be_visible()
    # Another setting begins another run, which waits as well.
    app.slide("rank", 1)
    expect_query(app, "rank=33")
    with app.run():
        stop.click()
    expect(app.main).to_contain_text("Stopped: nothing was read from the Hub.")
    expect(app.main).to_contain_text("Until then you see: Digits transformer")
    app.page.locator(".st-key-continue_hub button").click()
    expect(stop).to_be_visible()
    base = app.page.locator(".st-key-hub_base input")
    base.fill("no/model")
    base.press("Enter")
    expect(app.main).to_contain_text("no/model/model.safetensors is not there (HTTP 404)")
    expect(stop).to_have_count(0)
