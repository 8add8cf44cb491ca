"""The budget moved under the pictures in Chromium: frames, first move, bytes."""

from __future__ import annotations

import statistics
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, WebSocket, sync_playwright
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests.browser.install_chromium import system_chromium
from tests.browser.serving import QUIET, ROOT, serve

#: Notes when pictures and factors come, from before the page's own scripts run.
WATCH = """
window.came = {};
const find = (node) => {
  for (const part of node.querySelectorAll("*")) {
    if (part.matches(".linked")) return part;
    const inner = part.shadowRoot && find(part.shadowRoot);
    if (inner) return inner;
  }
  return null;
};
window.lens = () => find(document);
const look = () => {
  const { rendered, scrub } = window.lens()?.dataset || {};
  if (rendered) window.came.pictures ??= performance.now();
  if (rendered && scrub) window.came.factors ??= performance.now();
  if (!window.came.factors) requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""
#: Keeps the time of every frame, and of the lens's own work in it, until `stop` is set.
FRAMES = """
() => {
  window.frames = [];
  window.stop = false;
  const note = (time) => {
    window.frames.push([time, Number(window.lens().dataset.scrubMs || 0)]);
    if (!window.stop) requestAnimationFrame(note);
  };
  requestAnimationFrame(note);
}
"""


def _summary(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "median": statistics.median(ordered),
        "95th percentile": ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))],
        "longest": ordered[-1],
    }


def _frames(page: Page) -> dict[str, Any]:
    page.evaluate("window.stop = true")
    found = page.evaluate("window.frames")
    times = [time for time, _ in found]
    return {
        "frame, ms": _summary([after - before for before, after in pairwise(times)]),
        "of it the lens, ms": _summary([work for _, work in found]),
        "frames": len(times),
    }


def drag(page: Page) -> dict[str, Any]:
    """Drag the handle from end to end and back, and hold it; a move for about every frame."""
    box = page.locator(".budget input").first.bounding_box()
    assert box is not None
    middle, left, right = box["y"] + box["height"] / 2, box["x"] + 12, box["x"] + box["width"] - 12
    page.mouse.move(left, middle)
    page.mouse.down()
    page.evaluate(FRAMES)
    page.mouse.move(right, middle, steps=240)
    page.mouse.move(left, middle, steps=240)
    return _frames(page)


def play(page: Page) -> dict[str, Any]:
    """Let the budget run from 1 to the end."""
    page.evaluate(FRAMES)
    page.locator(".budget button").click()
    page.wait_for_function(
        "window.lens().dataset.scrubbed === window.lens().querySelector('.budget input').max"
    )
    return _frames(page)


class Messages:
    """What goes over the page's websocket."""

    def __init__(self, page: Page) -> None:
        self.sent = self.received = self.bytes = self.factor_bytes = 0
        page.on("websocket", self._listen)

    def _listen(self, socket: WebSocket) -> None:
        socket.on("framesent", self._count)
        socket.on("framereceived", self._hear)

    def _count(self, _: str | bytes) -> None:
        self.sent += 1

    def _hear(self, frame: str | bytes) -> None:
        self.received += 1
        self.bytes += len(frame)
        if isinstance(frame, bytes):
            component = ForwardMsg.FromString(frame).delta.new_element.bidi_component
            if component.component_name.endswith("linked_factors"):
                self.factor_bytes += len(frame)


def _open(browser: Browser, url: str) -> tuple[Page, Messages, float]:
    """Open the page; return it with the seconds from its pictures to the first possible move."""
    page = browser.new_context(viewport={"width": 1440, "height": 1000}, bypass_csp=True).new_page()
    page.add_init_script(WATCH)
    messages = Messages(page)
    page.goto(url)
    page.wait_for_function("window.came.factors")
    waited = page.evaluate("(window.came.factors - window.came.pictures) / 1000")
    # The last of the page: after it nothing else of the server's is in the way.
    page.locator(".st-key-unseen_figures").wait_for()
    page.wait_for_timeout(3000)
    # Nor are the factors of the other grids, which come when the pointer is at their handle.
    page.locator(".budget input").nth(1).hover()
    page.wait_for_function("window.lens().dataset.grids?.split(' ').length === 7")
    return page, messages, waited


def regrid(page: Page) -> dict[str, float]:
    """Move the grid's handle over every stop and back; return the lens's own work in a frame."""
    handle = page.locator(".budget input").nth(1)
    took = []
    for at in (*range(7), *range(5, -1, -1)):
        handle.evaluate(
            """async (handle, at) => {
              handle.value = at;
              handle.dispatchEvent(new Event("input", { bubbles: true }));
              for (let i = 0; i < 2; i++) await new Promise(requestAnimationFrame);
            }""",
            at,
        )
        took.append(float(page.evaluate("window.lens().dataset.scrubMs")))
    return _summary(took)


def run() -> dict[str, Any]:
    """Measure on the default target, 512² with the families that come by themselves."""
    with (
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as playwright,
        serve(ROOT / "app" / "main.py", Path(folder)) as (url, _),
    ):
        browser = playwright.chromium.launch(executable_path=system_chromium(), args=QUIET)
        page, _, cold = _open(browser, f"{url}/compare")
        page.context.close()
        page, messages, warm = _open(browser, f"{url}/compare")
        found: dict[str, Any] = {
            "pictures to first possible move, cold server, s": cold,
            "pictures to first possible move, warm server, s": warm,
            "factors, MB": messages.factor_bytes / 1e6,
            "all that the page receives, MB": messages.bytes / 1e6,
        }
        before = messages.sent, messages.received
        found["drag"] = drag(page)
        found["messages sent and received while dragging"] = [
            messages.sent - before[0],
            messages.received - before[1],
        ]
        before_release = messages.factor_bytes
        page.mouse.up()
        page.wait_for_function("location.search.startsWith('?rank=')")
        page.wait_for_timeout(3000)
        found["factors sent again after the release, MB"] = (
            messages.factor_bytes - before_release
        ) / 1e6
        found["play"] = play(page)
        found["another grid, the lens, ms"] = regrid(page)
        browser.close()
    return found
