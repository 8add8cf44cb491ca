"""Make the pictures of the documents: ``python -m docs.screenshots [NAME …]``, or all of them.

The app is driven as in `tests/browser`, so what a picture shows is what the app does.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, expect, sync_playwright
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests.browser.conftest import App
from tests.browser.install_chromium import system_chromium
from tests.browser.serving import QUIET, ROOT, serve

FOLDER = Path(__file__).parent
WIDTH = 1440
#: Colours of a picture, half the bytes of all: so many for the whole, the commonest as they are.
COLOURS, EXACT = 192, 64
#: Charts that are drawn, and nothing that is out of date.
AT_REST = """() => !document.querySelector('[data-stale=true], [data-testid=stSkeleton]')
  && [...document.querySelectorAll('[data-testid=stPlotlyChart]')]
    .every(chart => chart.querySelector('.main-svg'))"""


def _race(app: App) -> None:
    app.main.get_by_role("button", name="Start", exact=True).click()
    expect(app.main.get_by_role("button", name="Records, CSV")).to_be_visible()
    # Off the button, which says under the pointer what it does.
    app.page.mouse.move(0, 0)
    expect(app.page.get_by_role("tooltip")).to_have_count(0)


def _paint(app: App) -> None:
    with app.run(ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY):
        app.main.get_by_role("button", name="Fill like adaptive").click()
    _below("Paint your own ranks")(app)


def _below(heading: str) -> Callable[[App], None]:
    """Return what scrolls a heading to the top."""

    def scroll(app: App) -> None:
        found = app.main.get_by_role("heading", name=heading)
        found.evaluate("e => e.scrollIntoView({ block: 'start' })")

    return scroll


def _curves(app: App) -> None:
    app.see("curve")
    _below("Error against budget")(app)


@dataclass(frozen=True)
class Shot:
    """One picture: its link, its height in pixels, and what is done before it is taken."""

    link: str
    height: int = 1000
    act: Callable[[App], None] | None = None


#: By the name of the file.
SHOTS = {
    "start": Shot("", 1320),
    "compare": Shot("compare", 1400),
    "compare-curves": Shot("compare", 860, _curves),
    "what-if": Shot("what_if", 1060),
    "what-if-paint": Shot("what_if", 900, _paint),
    "fine-tune": Shot("fine_tune", 1200, _race),
    "your-weights": Shot("your_weights", 1400),
    "lessons": Shot("lessons", 1000),
    "lesson": Shot("lessons?lesson=strips", 1200),
    "theory": Shot("theory", 1100),
    "scoreboard": Shot("scoreboard", 1200),
    "scoreboard-task": Shot("scoreboard", 760, _below("One task closely")),
}


def fewer_colours(picture: Image.Image) -> Image.Image:
    """Return a picture of 256 colours: thin lines would lose theirs to a photograph."""
    pixels = np.asarray(picture, np.int64)
    found, counts = np.unique(pixels @ (65536, 256, 1), return_counts=True)
    commonest = found[np.argsort(-counts)]
    bytes_of = np.stack([commonest >> 16, commonest >> 8 & 255, commonest & 255], axis=1)
    vivid = np.ptp(bytes_of, axis=1) > 40
    exact = [*np.flatnonzero(~vivid)[: EXACT // 4], *np.flatnonzero(vivid)[: 3 * EXACT // 4]]
    small = picture.quantize(COLOURS, dither=Image.Dither.NONE)
    indices, codes = np.array(small), pixels @ (65536, 256, 1)
    for at, place in enumerate(exact, start=COLOURS):
        indices[codes == commonest[place]] = at
    made = Image.fromarray(indices, "P")
    whole = (small.getpalette() or [])[: 3 * COLOURS]
    whole += [0] * (3 * COLOURS - len(whole))
    made.putpalette([*whole, *bytes_of[exact].ravel().tolist()])
    return made


def _take(browser: Browser, url: str, name: str) -> None:
    shot = SHOTS[name]
    page = browser.new_page(
        viewport={"width": WIDTH, "height": shot.height},
        color_scheme="light",
        reduced_motion="reduce",
    )
    app = App(page, url)
    app.go(shot.link)
    app.until(AT_REST)
    if shot.act:
        shot.act(app)
    app.until(AT_REST)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    fewer_colours(picture).save(FOLDER / f"{name}.png", optimize=True)
    page.close()


def main(names: list[str]) -> None:
    """Take the pictures named, or all."""
    with (
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as playwright,
        serve(ROOT / "app" / "main.py", Path(folder)) as (url, _),
    ):
        browser = playwright.chromium.launch(executable_path=system_chromium(), args=QUIET)
        for name in names or SHOTS:
            _take(browser, url, name)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
