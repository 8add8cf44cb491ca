"""The budget moved under the pictures: the browser's answer against the server's."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from streamlit.proto.BackMsg_pb2 import BackMsg

from app.shared.style import FAMILY_LINES, LUTS
from tests.browser.conftest import App

FAMILIES = ("global", "diagonal", "localized", "adaptive")
#: Sets the handle as a drag does that has not ended.
DRAG = """(handle, rank) => {
  handle.value = rank;
  handle.dispatchEvent(new Event("input", { bubbles: true }));
}"""
#: Waits until what was asked for is painted.
FRAMES = """async () => {
  for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame);
}"""
RELEASE = """(handle) => handle.dispatchEvent(new Event("change", { bubbles: true }))"""


class Lens:
    """The pictures and the handle under them."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.root = page.locator(".linked")
        self.handle = page.locator(".budget input").first
        self.text = page.locator(".budget-text").first
        self.grid = page.get_by_role("slider", name="Blocks a side")
        #: What asked for a run of the page; what the browser fetches while it is idle is not.
        self.sent: list[BackMsg] = []
        page.on("websocket", lambda socket: socket.on("framesent", self._note))

    def _note(self, frame: bytes | str) -> None:
        assert isinstance(frame, bytes)
        message = BackMsg.FromString(frame)
        if not message.rerun_script.fragment_id:
            self.sent.append(message)

    def ready(self) -> None:
        """Wait for the factors."""
        expect(self.root).to_have_attribute("data-scrub", re.compile(r"\w"))

    def drag(self, rank: int) -> None:
        """Move the handle and wait until the pictures have followed."""
        self.handle.evaluate(DRAG, rank)
        expect(self.root).to_have_attribute("data-scrubbed", str(rank))
        expect(self.text).to_contain_text(f"r = {rank}:")

    def release(self) -> None:
        """Let the handle go and wait for the server's pictures."""
        token = self.root.get_attribute("data-rendered") or ""
        self.handle.evaluate(RELEASE)
        expect(self.root).not_to_have_attribute("data-rendered", token)

    def has_grid(self, label: str) -> None:
        """Go to the handle of the grid, and wait for the factors of another one."""
        self.grid.hover()
        expect(self.root).to_have_attribute("data-grids", re.compile(rf"\b{label}\b"))

    def move_grid(self, stop: int, label: str) -> None:
        """Move the grid's handle and wait until the pictures have followed."""
        self.grid.evaluate(DRAG, stop)
        expect(self.root).to_have_attribute("data-cut", label)

    def picture(self, name: str) -> np.ndarray:
        """The canvas of a panel, (height, width, 3)."""
        canvas = self.page.locator(f"figure[data-panel={name}] canvas.base")
        url = canvas.evaluate("canvas => canvas.toDataURL('image/png')")
        data = base64.b64decode(url.partition(",")[2])
        return np.array(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)

    def subtitle(self, name: str) -> str:
        return self.page.locator(f"figure[data-panel={name}] .subtitle").inner_text()

    def badges(self) -> list[str]:
        return self.page.locator(".best").all_inner_texts()


@pytest.fixture
def close_up(browser: Browser, app: App) -> Iterator[tuple[App, Lens]]:
    """The app where every cell of a 512² target has a pixel of its own."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, device_scale_factor=2)
    page = context.new_page()
    lens = Lens(page)
    yield App(page, app.url), lens
    assert page.get_by_test_id("stException").count() == 0
    context.close()


def levels(picture: np.ndarray, table: str | None) -> np.ndarray:
    """The level of each pixel: its grey, or its place in a colour table."""
    if table is None:
        return picture
    colours = np.frombuffer(LUTS[table], np.uint8).reshape(256, 3).astype(int)
    found = np.zeros(picture.shape[:2], int)
    codes = picture @ (65536, 256, 1)
    for level, code in enumerate(colours @ (65536, 256, 1)):
        found[codes == code] = level
    return found


@pytest.mark.parametrize(
    ("query", "table", "share"),
    [
        ("", None, 0.02),
        ("&view=signed+error&scale=1%2F16", "signed", 0.15),
        ("&target=Astronaut&colour=true", None, 0.02),
    ],
    ids=["reconstruction", "signed", "colour"],
)
def test_the_browser_shows_what_the_server_then_answers(
    close_up: tuple[App, Lens], query: str, table: str | None, share: float
) -> None:
    app, lens = close_up
    app.open(f"?rank=32{query}")
    lens.ready()
    scale = app.page.locator(".scale-text").inner_text()
    for rank in (5, 200):
        before = lens.picture("adaptive")
        lens.drag(rank)
        moved = {name: levels(lens.picture(name), table) for name in FAMILIES}
        words = [lens.subtitle(name) for name in FAMILIES], lens.badges()
        lens.release()
        expect(app.page).to_have_url(re.compile(rf"[?&]rank={rank}\b"))
        # The largest error is that of diagonal where it has no block, at every budget.
        assert app.page.locator(".scale-text").inner_text() == scale
        assert words == ([lens.subtitle(name) for name in FAMILIES], lens.badges())
        assert (lens.picture("adaptive") != before).any()
    # Who comes anew is sent the server's own pictures, which the others build by themselves.
    with app.run():
        app.page.reload()
    app.rendered()
    for name in FAMILIES:
        found = np.abs(moved[name] - levels(lens.picture(name), table))
        assert found.max() <= 1, name
        assert (found > 0).mean() < share, name


def test_pictures_are_there_again_on_the_way_back(app: App) -> None:
    lens = Lens(app.page)
    app.open("?rank=32")
    lens.ready()
    token = app.rendered()
    app.slide("rank", 1)
    app.wait_for_new_pictures(token)
    shown = lens.picture("adaptive")
    for name in ("Start", "Compare"):
        with app.run():
            app.page.get_by_role("navigation").get_by_role("link", name=name, exact=True).click()
        app.rendered()
    expect(lens.text).to_contain_text("r = 33:")
    assert np.abs(lens.picture("adaptive") - shown).max() <= 1


def test_nothing_is_sent_until_the_release_and_then_once(app: App) -> None:
    lens = Lens(app.page)
    app.open("?rank=32")
    lens.ready()
    entries = app.page.evaluate("history.length")
    box = lens.handle.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    before = len(lens.sent)
    app.page.mouse.move(box["x"] + box["width"] / 2, middle)
    app.page.mouse.down()
    app.page.mouse.move(box["x"] + box["width"] * 0.8, middle, steps=30)
    rank = int(lens.handle.input_value())
    assert rank > 150
    expect(lens.root).to_have_attribute("data-scrubbed", str(rank))
    assert len(lens.sent) == before
    with app.run():
        app.page.mouse.up()
    expect(app.page).to_have_url(f"{app.url}/compare?rank={rank}")
    assert len(lens.sent) == before + 1
    assert app.page.evaluate("history.length") == entries + 1
    # The sidebar has followed, and the handle follows the sidebar.
    slider = app.page.locator(".st-key-rank input[type=range]")
    assert slider.input_value() == str(rank)
    app.slide("rank", -1)
    expect(lens.text).to_contain_text(f"r = {rank - 1}:")
    expect(lens.handle).to_have_value(str(rank - 1))


def test_keys_move_it_and_letting_go_sends(app: App) -> None:
    lens = Lens(app.page)
    app.open("?rank=32")
    lens.ready()
    lens.handle.focus()
    before = len(lens.sent)
    for key, rank in (("ArrowRight", 33), ("Home", 1), ("End", 256), ("ArrowLeft", 255)):
        app.page.keyboard.down(key)
        expect(lens.root).to_have_attribute("data-scrubbed", str(rank))
        expect(lens.handle).to_have_attribute(
            "aria-valuetext", f"r = {rank}: {rank * 1024:,} parameters"
        )
    for _ in range(3):
        app.page.keyboard.down("PageDown")
    rank = int(lens.handle.input_value())
    assert rank < 200
    expect(lens.root).to_have_attribute("data-scrubbed", str(rank))
    assert len(lens.sent) == before
    with app.run():
        app.page.keyboard.up("PageDown")
    expect(app.page).to_have_url(f"{app.url}/compare?rank={rank}")
    assert len(lens.sent) == before + 1
    assert lens.handle.evaluate("e => getComputedStyle(e).outlineStyle") == "solid"
    expect(app.page.get_by_role("slider", name="Budget, as equivalent rank r").last).to_be_visible()


def test_a_family_that_is_searched_for_follows_on_release(app: App) -> None:
    lens = Lens(app.page)
    app.open("?rank=8&hybrid=true&target=MiniLM+layer+0+query")
    lens.ready()
    hybrid = app.page.locator("figure[data-panel=hybrid]")
    words = lens.subtitle("hybrid")
    lens.drag(20)
    expect(hybrid).to_have_class(re.compile("waiting"))
    expect(hybrid.locator(".foot")).to_have_text("follows on release")
    assert lens.subtitle("hybrid") == words
    expect(app.page.locator("figure.waiting")).to_have_count(1)
    lens.release()
    expect(app.page.locator("figure.waiting")).to_have_count(0)
    expect(hybrid.locator(".subtitle")).to_contain_text("15,360")


def test_back_where_it_was_nothing_is_asked(app: App) -> None:
    lens = Lens(app.page)
    app.open("?rank=32")
    lens.ready()
    first, before = lens.picture("localized"), len(lens.sent)
    lens.drag(90)
    assert np.abs(lens.picture("localized") - first).max() > 5
    lens.drag(32)
    lens.handle.evaluate(RELEASE)
    lens.drag(33)
    lens.drag(32)
    assert np.abs(lens.picture("localized") - first).max() <= 1
    assert len(lens.sent) == before


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_play_runs_to_the_end_and_asks_once(browser: Browser, app: App, motion: str) -> None:
    context = browser.new_context(
        viewport={"width": 1440, "height": 1000},
        reduced_motion=motion,  # type: ignore[arg-type]
    )
    page = context.new_page()
    lens, visit = Lens(page), App(page, app.url)
    visit.open("?rank=32")
    lens.ready()
    before = len(lens.sent)
    page.evaluate(
        """() => {
          const root = document.querySelector("[data-testid=stMain]");
          window.seen = [];
          window.clock = performance.now();
          performance.now = () => window.clock;
        }"""
    )
    play = page.locator(".budget button")
    play.click()
    expect(play).to_have_text("Pause")
    seen = []
    for seconds in (0.5, 0.5, 1.5, 2.5):
        page.evaluate("seconds => { window.clock += 1000 * seconds; }", seconds)
        page.evaluate(FRAMES)
        seen.append(int(lens.root.get_attribute("data-scrubbed") or 0))
    assert seen == ([14, 27, 65, 129] if motion == "no-preference" else [1, 27, 52, 129])
    assert len(lens.sent) == before
    play.click()
    expect(page).to_have_url(f"{app.url}/compare?rank=129")
    assert len(lens.sent) == before + 1
    play.click()
    page.evaluate("window.clock += 6000")
    expect(page).to_have_url(f"{app.url}/compare?rank=256")
    expect(play).to_have_text("Play")
    assert len(lens.sent) == before + 2
    context.close()


def test_another_grid_shows_at_once_what_the_server_then_answers(
    close_up: tuple[App, Lens],
) -> None:
    app, lens = close_up
    app.open("?rank=40")
    lens.ready()
    lens.has_grid("16×16")
    before, entries = len(lens.sent), app.page.evaluate("history.length")
    lens.move_grid(2, "4×4")
    lens.move_grid(4, "16×16")
    expect(lens.grid).to_have_attribute("aria-valuetext", "16×16 blocks")
    moved = {name: levels(lens.picture(name), None) for name in FAMILIES}
    words = [lens.subtitle(name) for name in FAMILIES], lens.badges()
    assert len(lens.sent) == before
    token = lens.root.get_attribute("data-rendered") or ""
    with app.run():
        lens.grid.evaluate(RELEASE)
    app.wait_for_new_pictures(token)
    expect(app.page).to_have_url(re.compile(r"rows=16&cols=16"))
    assert len(lens.sent) == before + 1
    assert app.page.evaluate("history.length") == entries + 1
    assert words == ([lens.subtitle(name) for name in FAMILIES], lens.badges())
    for name in FAMILIES:
        found = np.abs(moved[name] - levels(lens.picture(name), None))
        assert found.max() <= 1, name
        assert (found > 0).mean() < 0.02, name


def test_a_grid_that_is_not_there_yet_says_so_and_one_may_bring_a_family(app: App) -> None:
    lens = Lens(app.page)
    app.open("?target=MiniLM+layer+0+query&rank=24&rows=12&cols=1&linked=false")
    lens.ready()
    diagonal = app.page.locator("figure[data-panel=diagonal]")
    expect(diagonal.locator(".message")).to_contain_text("block")
    lens.has_grid("4×4")
    lens.move_grid(3, "4×4")
    expect(diagonal.locator(".message")).to_have_text("")
    assert lens.picture("diagonal").std() > 1
    expect(diagonal.locator(".subtitle")).to_contain_text("18,432 parameters")
    lens.move_grid(2, "12×1")
    expect(diagonal.locator(".message")).to_contain_text("block")
    # As if the factors of the finest grid had not come.
    app.page.evaluate('window[Symbol.for("linked factors")].held.clear()')
    last = int(lens.grid.get_attribute("max") or 0)
    lens.grid.evaluate(DRAG, last)
    expect(lens.grid).to_have_attribute("aria-valuetext", "64×64: follows on release")
    expect(app.page.locator("figure.waiting")).to_have_count(3)
    with app.run():
        lens.grid.evaluate(RELEASE)
    expect(app.page.locator("figure.waiting")).to_have_count(0)
    expect(app.page).to_have_url(re.compile(r"rows=64&cols=64$"))
    expect(lens.grid).to_have_attribute("aria-valuetext", "64×64 blocks")


def test_the_curve_says_the_errors_and_is_dragged(app: App) -> None:
    lens = Lens(app.page)
    app.open("?rank=32")
    lens.ready()
    curve = app.page.locator("canvas.curve")
    curve.scroll_into_view_if_needed()

    def said() -> dict[str, str]:
        label = curve.get_attribute("aria-label") or ""
        return dict(re.findall(r"(\w+) ([\d.]+)(?:,|$)", label))

    expect(curve).to_have_attribute("aria-label", re.compile("at r = 32: "))
    for name in FAMILIES:
        assert f"error\N{NO-BREAK SPACE}{said()[name]} " in lens.subtitle(name)
    box = curve.bounding_box()
    assert box is not None
    before = len(lens.sent)
    middle = box["y"] + box["height"] / 2
    app.page.mouse.move(box["x"] + box["width"] / 4, middle)
    app.page.mouse.down()
    app.page.mouse.move(box["x"] + box["width"] * 0.6, middle, steps=5)
    rank = int(lens.handle.input_value())
    assert 110 < rank < 190
    expect(lens.root).to_have_attribute("data-scrubbed", str(rank))
    expect(curve).to_have_attribute("aria-label", re.compile(f"at r = {rank}: "))
    assert len(lens.sent) == before
    with app.run():
        app.page.mouse.up()
    expect(app.page).to_have_url(f"{app.url}/compare?rank={rank}")
    assert len(lens.sent) == before + 1
    url = curve.evaluate("canvas => canvas.toDataURL('image/png')")
    data = io.BytesIO(base64.b64decode(url.partition(",")[2]))
    painted = np.array(Image.open(data).convert("RGB")).reshape(-1, 3)
    for name in FAMILIES:
        colour = [int(FAMILY_LINES[name].colour[at : at + 2], 16) for at in (1, 3, 5)]
        assert (painted == colour).all(-1).sum() > 40, name


def tiles(picture: np.ndarray, side: int = 48) -> np.ndarray:
    """The mean colour of every side×side pixels."""
    rows, cols = (size // side * side for size in picture.shape[:2])
    cut = picture[:rows, :cols].reshape(rows // side, side, cols // side, side, 3)
    return np.asarray(cut.mean(axis=(1, 3)))


def assert_alike(found: np.ndarray, wanted: np.ndarray) -> None:
    apart = np.abs(tiles(found) - tiles(wanted))
    assert apart.max() < 6
    assert apart.mean() < 0.7


def test_a_large_target_moves_in_means_and_is_sharp_again_on_release(
    close_up: tuple[App, Lens],
) -> None:
    app, lens = close_up
    rows, cols = np.mgrid[:700, :640]
    fine = 25 * ((rows + cols) % 2)  # Gone from means over 2×2 cells.
    image = (100 + 70 * np.sin(rows * cols / 30000) + fine).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG")

    def opened(rank: int) -> None:
        app.open(f"?rank={rank}&side=1024&scale=full")
        app.select("target", "Own upload")
        app.upload("large.png", out.getvalue())
        expect(app.page.locator("figure[data-panel=target]")).to_contain_text("700 × 640")
        lens.ready()

    opened(40)
    names = ("global", "localized", "adaptive")
    sharp = {name: lens.picture(name) for name in names}
    lens.drag(60)
    lens.drag(40)
    for name in names:
        found = lens.picture(name)
        assert_alike(found, sharp[name])
        assert found.std() < sharp[name].std()
    lens.handle.evaluate(RELEASE)
    app.page.evaluate(FRAMES)
    for name in names:
        np.testing.assert_array_equal(lens.picture(name), sharp[name])
    lens.drag(9)
    moved = {name: lens.picture(name) for name in names}
    # The reading is that of the window under the pointer.
    app.page.locator("figure[data-panel=global] .picture").hover()
    expect(app.page.locator(".reading[data-panel=global] .value").first).to_contain_text(".")
    words = [lens.subtitle(name) for name in names]
    lens.release()
    assert words == [lens.subtitle(name) for name in names]
    built = {name: lens.picture(name) for name in names}
    for name in names:
        assert_alike(moved[name], built[name])
    # Errors of blocks come from singular values, because means do not hold them.
    app.page.get_by_text("per block", exact=True).click()
    expect(app.page.locator(".scale-text")).to_contain_text("error per block")
    lens.ready()
    scale = app.page.locator(".scale-text").inner_text()
    lens.drag(30)
    moved = {name: levels(lens.picture(name), "absolute") for name in names}
    lens.release()
    assert app.page.locator(".scale-text").inner_text() == scale
    for name in names:
        found = np.abs(moved[name] - levels(lens.picture(name), "absolute"))
        assert found.max() <= 1, name
    # It was the browser that built them cell by cell: who comes anew is sent the server's own.
    opened(9)
    for name in names:
        found = np.abs(built[name] - lens.picture(name))
        # One grey level of a cell; the canvas is smaller, and its filter weighs cells beyond 1.
        assert found.max() <= 2, name
        assert (found > 0).mean() < 0.02, name
