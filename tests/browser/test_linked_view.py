"""The linked pictures in a browser: right pixels, right numbers, all panels together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, Playwright, expect

from tests.browser.install_chromium import system_chromium
from tests.browser.linked_demo import LUTS, known
from tests.browser.serving import QUIET, ROOT, serve

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def demo_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("linked")
    options = ("--server.fileWatcherType=none", "--browser.gatherUsageStats=false")
    demo = ROOT / "tests" / "browser" / "linked_demo.py"
    # The app finds the repository by itself; the demo does not.
    with serve(demo, folder, *options, PYTHONPATH=str(ROOT)) as (url, log):
        yield url
    assert "Traceback" not in log.read_text()


@pytest.fixture(scope="module")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=system_chromium(), args=QUIET)
    yield browser
    browser.close()


@pytest.fixture
def open_demo(chromium: Browser, demo_url: str) -> Iterator[Open]:
    contexts: list[Any] = []
    problems: list[str] = []

    def open_page(query: str, width: int = 1440, height: int = 1000, **options: Any) -> Page:
        size = {"width": width, "height": height}
        context = chromium.new_context(viewport=size, **options)  # type: ignore[arg-type]
        contexts.append(context)
        page: Page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "console",
            lambda message: problems.append(message.text) if message.type == "error" else None,
        )
        page.goto(f"{demo_url}/?{query}")
        expect(page.locator(".linked[data-rendered]")).to_be_visible()
        return page

    yield open_page
    for context in contexts:
        for page in context.pages:
            assert page.get_by_test_id("stException").count() == 0
        context.close()
    assert problems == []


def painted(page: Page) -> None:
    """Wait until what was done is on the canvas: a frame for sizes, one for the painting."""
    page.evaluate(
        """async () => {
          for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame);
        }"""
    )


def picture(page: Page, name: str) -> Locator:
    return page.locator(f"figure[data-panel={name}] .picture")


def reading(page: Page, name: str) -> Locator:
    return page.locator(f".reading[data-panel={name}]")


def at(page: Page, name: str, row: float, col: float, shape: tuple[int, int]) -> tuple[float, ...]:
    """The page's coordinates of the middle of a cell of the unzoomed picture."""
    picture(page, name).scroll_into_view_if_needed()
    box = picture(page, name).bounding_box()
    assert box is not None
    x = box["x"] + (col + 0.5) / shape[1] * box["width"]
    return x, box["y"] + (row + 0.5) / shape[0] * box["height"]


def colours(page: Page, name: str, shape: tuple[int, int]) -> np.ndarray:
    """The colour in the middle of every cell, read back from the unzoomed canvas."""
    found = page.locator(f"figure[data-panel={name}] canvas.base").evaluate(
        """(canvas, [rows, cols]) => {
          const pen = canvas.getContext("2d");
          const all = pen.getImageData(0, 0, canvas.width, canvas.height).data;
          const found = [];
          for (let i = 0; i < rows; i++) for (let j = 0; j < cols; j++) {
            const x = Math.floor((j + 0.5) / cols * canvas.width);
            const y = Math.floor((i + 0.5) / rows * canvas.height);
            const p = 4 * (y * canvas.width + x);
            found.push([all[p], all[p + 1], all[p + 2], all[p + 3]]);
          }
          return found;
        }""",
        list(shape),
    )
    pixels = np.array(found, np.uint8).reshape(*shape, 4)
    assert (pixels[..., 3] == 255).all()
    return pixels[..., :3]


def levels(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip(np.floor((values - low) * 255 / (high - low) + 0.5), 0, 255).astype(int)


def table(name: str) -> np.ndarray:
    return np.frombuffer(LUTS[name], np.uint8).reshape(256, 3)


def picked(page: Page, row: int, col: int) -> None:
    expect(page.get_by_text(f"picked {row},{col} ", exact=False)).to_be_visible()


def test_reconstruction_has_the_tables_colours(open_demo: Open) -> None:
    page = open_demo("case=tiny&view=reconstruction")
    target, errors = known("tiny")
    want = table("values")[levels(target, 0, 1)]
    np.testing.assert_array_equal(colours(page, "target", (6, 8)), want)
    for name, error in errors.items():
        want = table("values")[levels(target - error, 0, 1)]
        np.testing.assert_array_equal(colours(page, name, (6, 8)), want)


def test_signed_error_has_the_tables_colours_and_states_what_it_clips(open_demo: Open) -> None:
    page = open_demo("case=tiny&view=signed")
    target, errors = known("tiny")
    np.testing.assert_array_equal(
        colours(page, "target", (6, 8)), table("values")[levels(target, 0, 1)]
    )
    for name, error in errors.items():
        want = table("signed")[levels(error, -0.25, 0.25)]
        np.testing.assert_array_equal(colours(page, name, (6, 8)), want)
    foot = page.locator("figure[data-panel=global] .foot")
    expect(foot).to_have_text("2.1 % outside the scale")  # one entry of 48
    expect(page.locator("figure[data-panel=localized] .foot")).to_have_text("")
    expect(page.locator(".scale-text")).to_have_text(
        "signed error W − Ŵ, one scale for all families: −0.25 … 0.25"
    )
    expect(page.locator(".ticks")).to_have_text("−0.2500.25")


def test_absolute_error_has_the_tables_colours(open_demo: Open) -> None:
    page = open_demo("case=square&view=absolute")
    for name, error in known("square")[1].items():
        # float16 may move a value across the edge between two levels.
        found = colours(page, name, (64, 64)).astype(int)
        level = levels(np.abs(error), 0, 0.2)
        near = [table("absolute")[np.clip(level + d, 0, 255)].astype(int) for d in (-1, 0, 1)]
        exact = (found == near[1]).all(-1)
        assert exact.mean() > 0.97
        assert (exact | (found == near[0]).all(-1) | (found == near[2]).all(-1)).all()


def test_rgb_target_and_errors(open_demo: Open) -> None:
    page = open_demo("case=rgb&view=signed")
    target, errors = known("rgb")
    want = levels(target.astype(np.float32).astype(float), 0, 1)
    np.testing.assert_array_equal(colours(page, "target", (64, 64)), want)
    found = colours(page, "global", (64, 64)).astype(int)
    want = table("signed")[levels(errors["global"].mean(-1), -0.2, 0.2)].astype(int)
    assert (found == want).all(-1).mean() > 0.97
    page.mouse.move(*at(page, "target", 10, 20, (64, 64)))
    three = " ".join(f"{x:#.3g}" for x in target[10, 20])
    expect(reading(page, "target").locator(".value").first).to_have_text(f"target {three}")


def test_blocks_show_block_errors_and_numbers(open_demo: Open) -> None:
    page = open_demo("case=tiny&view=blocks")
    errors = known("tiny")[1]
    whole = np.linalg.norm(known("tiny")[0])
    norms = {
        name: np.sqrt((e.reshape(2, 3, 4, 2) ** 2).sum((1, 3))) / whole
        for name, e in errors.items()
    }
    largest = max(n.max() for n in norms.values())
    for name, norm in norms.items():
        want = table("absolute")[levels(norm.astype(np.float32), 0, largest)]
        # Every block is 3 × 2 cells; its number is in the middle, its first cell is free of it.
        found = colours(page, name, (6, 8))[::3, ::2]
        assert (np.abs(found.astype(int) - want) <= 3).all()
    page.mouse.move(*at(page, "global", 5, 7, (6, 8)))
    block = norms["global"][1, 3]
    expect(reading(page, "global")).to_contain_text(f"block error {block:#.3g}")


@pytest.mark.parametrize("over", ["target", "localized"])
def test_pointer_reads_the_same_cell_in_every_panel(open_demo: Open, over: str) -> None:
    page = open_demo("case=tiny&view=signed")
    before = page.locator(".linked").bounding_box()
    page.mouse.move(*at(page, over, 5, 7, (6, 8)))
    expect(reading(page, "target")).to_have_text(
        re.compile(r"^\(5, 7\)target 0\.734block \(1, 3\)")
    )
    expect(reading(page, "global")).to_contain_text("value 1.23error −0.500")
    expect(reading(page, "localized")).to_contain_text("value 0.555error +0.180")
    crossed = page.evaluate(
        """() => [...document.querySelector("[data-testid=stBidiComponentIsolated]").shadowRoot
          .querySelectorAll("canvas.overlay")].map((canvas) => {
            const all = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            return all.data.filter((x, i) => i % 4 === 3 && x > 0).length;
          })"""
    )
    assert min(crossed) == max(crossed) > 100
    page.mouse.move(*at(page, over, 2, 3, (6, 8)))
    expect(reading(page, "global")).to_contain_text("value 0.047error +0.250")
    page.mouse.move(5, 5)
    expect(reading(page, "global")).to_contain_text("value –error –")
    assert page.locator(".linked").bounding_box() == before


def test_click_picks_and_keys_read_cells_and_pick(open_demo: Open) -> None:
    page = open_demo("case=tiny&view=signed")
    picked(page, 0, 0)
    page.mouse.click(*at(page, "global", 4, 5, (6, 8)))
    picked(page, 1, 2)
    expect(page.get_by_text("'count': 1")).to_be_visible()
    page.mouse.move(5, 5)
    spoken = page.locator(".linked [aria-live=polite]")
    keys = page.keyboard
    cell = reading(page, "target").locator(".read-name")
    # From the first cell of the picked block, by cells, to the ends of the row, by blocks.
    for key, row, col in (
        ("ArrowDown", 3, 4),
        ("ArrowDown", 4, 4),
        ("Home", 4, 0),
        ("Shift+ArrowRight", 4, 2),
        ("Shift+ArrowUp", 0, 2),
        ("Shift+ArrowUp", 0, 2),
        ("ArrowUp", 0, 2),
        ("End", 0, 7),
        ("Shift+ArrowDown", 3, 7),
        ("ArrowDown", 4, 7),
        ("ArrowDown", 5, 7),
    ):
        keys.press(key)
        expect(cell).to_have_text(f"({row}, {col})")
    expect(spoken).to_have_text(
        "Row 5, column 7, block 1, 3; target 0.734; global error −0.500; localized error +0.180"
    )
    keys.press("Enter")
    picked(page, 1, 3)
    expect(page.get_by_text("'count': 2")).to_be_visible()
    assert page.evaluate("document.activeElement.shadowRoot.activeElement.className") == "pictures"
    keys.press("Escape")
    expect(cell).to_have_text("(row, column)")


def test_the_target_is_swiped_and_flipped_over_every_family(open_demo: Open) -> None:
    page = open_demo("case=tiny&view=reconstruction")
    families = {name: colours(page, name, (6, 8)) for name in ("global", "localized")}
    target = colours(page, "target", (6, 8))
    swipe = page.get_by_role("slider", name="Swipe the target over every family")
    swipe.focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    painted(page)
    expect(swipe).to_have_attribute("aria-valuetext", "target over 50 % of each picture")
    for name, family in families.items():
        found = colours(page, name, (6, 8))
        np.testing.assert_array_equal(found[:, :4], target[:, :4])
        np.testing.assert_array_equal(found[:, 4:], family[:, 4:])
    # The divider is dragged, which picks nothing.
    divider = page.locator("figure[data-panel=global] .divider").bounding_box()
    box = picture(page, "global").bounding_box()
    assert divider is not None
    assert box is not None
    middle = box["y"] + box["height"] / 3
    page.mouse.move(divider["x"] + divider["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, middle, steps=4)
    page.mouse.up()
    painted(page)
    for name, family in families.items():
        found = colours(page, name, (6, 8))
        np.testing.assert_array_equal(found[:, :2], target[:, :2])
        np.testing.assert_array_equal(found[:, 2:], family[:, 2:])
    picked(page, 0, 0)
    page.locator(".pictures").focus()
    page.keyboard.down("t")
    painted(page)
    np.testing.assert_array_equal(colours(page, "global", (6, 8)), target)
    page.keyboard.up("t")
    swipe.focus()
    page.keyboard.press("Home")
    button = page.get_by_role("button", name="Show the target in place of every family")
    button.click()
    painted(page)
    expect(button).to_have_attribute("aria-pressed", "true")
    np.testing.assert_array_equal(colours(page, "localized", (6, 8)), target)
    button.click()
    painted(page)
    np.testing.assert_array_equal(colours(page, "localized", (6, 8)), families["localized"])


def test_drag_is_no_pick_and_zoom_moves_all_panels_together(open_demo: Open) -> None:
    page = open_demo("case=tiny&view=reconstruction")
    names = ("target", "global", "localized")
    rest = {name: colours(page, name, (6, 8)) for name in names}
    target, errors = known("tiny")
    shown = {"target": target} | {name: target - error for name, error in errors.items()}
    page.mouse.move(*at(page, "global", 5.49, 7.49, (6, 8)))
    page.keyboard.down("Control")
    for _ in range(12):
        page.mouse.wheel(0, -60)
    page.keyboard.up("Control")
    expect(page.locator(".factor")).to_have_text("4.0×")
    for name in names:  # the last 1.5 rows and 2 columns fill the picture
        found = colours(page, name, (6, 8))
        want = table("values")[levels(shown[name][5, 6:], 0, 1)]
        np.testing.assert_array_equal(found[4, [1, 6]], want)
    x, y = at(page, "global", 3, 4, (6, 8))
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 400, y + 400, steps=6)
    page.mouse.move(x + 3000, y + 3000, steps=3)
    page.mouse.up()
    painted(page)
    for name in names:
        found = colours(page, name, (6, 8))
        want = table("values")[levels(shown[name][0, :2], 0, 1)]
        np.testing.assert_array_equal(found[1, [1, 6]], want)
    picked(page, 0, 0)
    page.get_by_role("button", name="Reset the zoom").click()
    expect(page.locator(".factor")).to_have_text("1.0×")
    for name in names:
        np.testing.assert_array_equal(colours(page, name, (6, 8)), rest[name])


def test_wheel_alone_scrolls_and_keys_zoom(open_demo: Open) -> None:
    page = open_demo("case=tiny", height=400)
    page.mouse.move(*at(page, "target", 1, 1, (6, 8)))
    top = page.locator(".linked").evaluate("e => e.getBoundingClientRect().top")
    page.mouse.wheel(0, 100)
    scrolled = "([e, top]) => e.getBoundingClientRect().top < top"
    page.wait_for_function(scrolled, arg=[page.locator(".linked").element_handle(), top])
    expect(page.locator(".factor")).to_have_text("1.0×")
    page.locator(".pictures").focus()
    page.keyboard.press("+")
    expect(page.locator(".factor")).to_have_text("1.5×")
    page.keyboard.press("Escape")
    expect(page.locator(".factor")).to_have_text("1.0×")


def test_view_state_survives_new_data(open_demo: Open) -> None:
    page = open_demo("case=tiny&view=reconstruction")
    page.get_by_role("button", name="Zoom in").click()
    expect(page.locator(".factor")).to_have_text("2.0×")
    token = page.locator(".linked").get_attribute("data-rendered")
    page.get_by_text("signed", exact=True).click()
    expect(page.locator(f".linked:not([data-rendered='{token}'])")).to_be_visible()
    expect(page.locator(".factor")).to_have_text("2.0×")
    expect(page.locator(".scale-text")).to_contain_text("signed error")
    assert page.locator(".linked").count() == 1


def test_panel_without_a_result_says_why(open_demo: Open) -> None:
    page = open_demo("case=tiny&view=signed&message&squares&grid")
    words = "diagonal needs as many block rows as block columns"
    expect(picture(page, "localized")).to_have_text(words)
    page.mouse.move(*at(page, "localized", 1, 1, (6, 8)))
    expect(reading(page, "localized")).to_contain_text("value –")
    expect(reading(page, "global")).to_contain_text("error 0")
    expect(page.locator(".notes")).to_contain_text("Square area = the block’s squared error")


def test_squares_have_areas_proportional_to_squared_errors(open_demo: Open) -> None:
    def pixels(page: Page) -> np.ndarray:
        canvas = page.locator("figure[data-panel=global] canvas.base")
        size = canvas.evaluate("c => [c.height, c.width]")
        found = canvas.evaluate(
            "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
        )
        return np.array(found).reshape(*size, 4)

    plain = pixels(open_demo("case=tiny&view=signed"))
    covered = (pixels(open_demo("case=tiny&view=signed&squares")) != plain).any(-1)
    height, width = covered.shape
    # global has one block with error 0.25 and one with 0.5, so areas 1 : 4.
    small = covered[: height // 2, width // 4 : width // 2].sum()
    large = covered[height // 2 :, 3 * width // 4 :].sum()
    assert large / small == pytest.approx(4, rel=0.1)
    assert covered.sum() == small + large


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_both_themes(open_demo: Open, scheme: str) -> None:
    page = open_demo("case=tiny&message", color_scheme=scheme)

    def brightness(css: str) -> float:
        if css.startswith("color("):  # color(srgb 0.1 0.2 0.3)
            numbers = [255 * float(x) for x in re.findall(r"[\d.]+", css)[:3]]
        else:
            numbers = [float(x) for x in re.findall(r"[\d.]+", css)[:3]]
        return float(np.dot([0.2126, 0.7152, 0.0722], numbers)) / 255

    ground = page.get_by_test_id("stApp").evaluate("e => getComputedStyle(e).backgroundColor")
    for selector in (".title", ".subtitle", ".caption", ".value", ".scale-text", ".factor"):
        ink = page.locator(selector).first.evaluate("e => getComputedStyle(e).color")
        assert abs(brightness(ink) - brightness(ground)) > 0.4, (selector, ink, ground)


def test_narrow_screens_stack_without_overflow(open_demo: Open) -> None:
    page = open_demo("case=square&view=signed&squares", width=390, height=844)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    root = page.locator(".linked").bounding_box()
    assert root is not None
    boxes = [box.bounding_box() for box in page.locator(".picture").all()]
    assert all(box is not None and box["width"] >= 140 for box in boxes)
    assert len({round(box["width"]) for box in boxes if box}) == 1
    assert len({round(box["y"]) for box in boxes if box}) == 2  # target and three families: 2 + 2
    assert all(box["x"] + box["width"] <= root["x"] + root["width"] + 0.5 for box in boxes if box)
    for part in page.locator(".linked *").all():
        box = part.bounding_box()
        assert box is None or box["x"] + box["width"] <= 391


def test_touch_picks_and_keeps_the_reading(open_demo: Open) -> None:
    page = open_demo("case=tiny&view=signed", width=390, height=844, has_touch=True, is_mobile=True)
    page.touchscreen.tap(*at(page, "global", 5, 7, (6, 8)))
    picked(page, 1, 3)
    expect(reading(page, "global")).to_contain_text("error −0.500")


def test_two_fingers_zoom_and_one_moves_when_zoomed(open_demo: Open) -> None:
    page = open_demo("case=tiny", width=390, height=844, has_touch=True, is_mobile=True)
    x, y = at(page, "global", 2.5, 3.5, (6, 8))
    touch = page.context.new_cdp_session(page)

    def send(kind: str, *points: tuple[float, float]) -> None:
        fingers = [{"x": px, "y": py, "id": i} for i, (px, py) in enumerate(points)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    send("touchStart", (x - 20, y), (x + 20, y))
    for spread in (24, 28, 32, 36, 40):
        send("touchMove", (x - spread, y), (x + spread, y))
    send("touchEnd")
    expect(page.locator(".factor")).to_have_text("2.0×")
    zoomed = colours(page, "target", (6, 8))
    send("touchStart", (x, y))
    for step in range(1, 6):
        send("touchMove", (x + 12 * step, y))
    send("touchEnd")
    painted(page)
    assert (colours(page, "target", (6, 8)) != zoomed).any()
    picked(page, 0, 0)


def test_names_for_screen_readers(open_demo: Open) -> None:
    page = open_demo("case=tiny&view=signed")
    target, errors = known("tiny")
    share = np.linalg.norm(errors["global"]) / np.linalg.norm(target)
    name = f"global, error {share:.3g} · 32,768 parameters, signed error"
    expect(page.get_by_role("img", name=name)).to_be_visible()
    expect(page.get_by_role("img", name="target, 6 × 8, values")).to_be_visible()
    group = page.get_by_role("application")
    assert "Arrow keys" in (group.get_attribute("aria-label") or "")
    group.focus()
    page.keyboard.press("ArrowDown")
    assert group.evaluate("e => getComputedStyle(e).outlineStyle") == "solid"


def test_sharp_on_dense_screens_and_larger_on_request(open_demo: Open) -> None:
    page = open_demo("case=square", device_scale_factor=2)
    canvas = page.locator("figure[data-panel=target] canvas.base")
    box = canvas.bounding_box()
    assert box is not None
    assert canvas.evaluate("c => c.width") == round(2 * box["width"])
    page.get_by_role("button", name="Larger pictures").click()
    painted(page)
    larger = canvas.bounding_box()
    assert larger is not None
    assert larger["width"] > 1.5 * box["width"]
    np.testing.assert_array_equal(
        colours(page, "target", (64, 64))[..., 0], levels(known("square")[0], 0, 1)
    )
