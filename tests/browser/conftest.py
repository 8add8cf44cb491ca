"""The app in a real Chromium: one server for all tests, every fault on the page fails the test."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests.browser.install_chromium import system_chromium
from tests.browser.serving import QUIET, ROOT, serve
from tests.hub import serving

#: What Streamlit's server writes when a browser is gone while its connection is being accepted.
GONE = re.compile(
    r"Exception in ASGI application\n(?:(?!Exception in ASGI).)*?"
    r'WebSocketDisconnected: Cannot call "send" once a close message has been sent\.\n',
    re.DOTALL,
)
#: Milliseconds until something that never comes is a fault; nothing waits for so long otherwise.
NEVER = 60_000
expect.set_options(timeout=NEVER)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    found = system_chromium()
    chosen = {"executable_path": found} if found else {}
    return {**browser_type_launch_args, **chosen, "args": QUIET}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    return {**browser_context_args, "viewport": {"width": 1440, "height": 1000}}


@pytest.fixture(scope="session")
def visitor(browser: Browser, browser_context_args: dict[str, Any]) -> Iterator[BrowserContext]:
    context = browser.new_context(**browser_context_args)
    yield context
    context.close()


@pytest.fixture
def page(visitor: BrowserContext) -> Iterator[Page]:
    """A new tab of one visitor, who has Streamlit's own files already: loading takes 0.9 s less."""
    tab = visitor.new_page()
    yield tab
    if tab.url.startswith("http"):
        tab.evaluate("localStorage.clear()")
    tab.close()
    visitor.clear_cookies()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The app, started from another folder than the repository's; its address and its log.

    Its Hub holds nothing, and never answers who asks for a model of "silent".
    """
    folder = tmp_path_factory.mktemp("elsewhere")
    with serving() as hub:
        hub.silent = "/silent/"
        allowed = {"LOLORA_ALLOW_HUB": "1", "LOLORA_ALLOW_PATHS": "1", "HF_ENDPOINT": hub.address}
        with serve(ROOT / "app" / "main.py", folder, **allowed) as found:
            yield found


class App:
    """What a visitor does on the page."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        #: How many runs of the script and of fragments the page was told had ended by themselves.
        self.ended: Counter[int] = Counter()
        page.set_default_timeout(NEVER)
        page.on("websocket", lambda socket: socket.on("framereceived", self._hear))

    def _hear(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            message = ForwardMsg.FromString(frame)
            if message.WhichOneof("type") == "script_finished":
                self.ended[message.script_finished] += 1

    @contextmanager
    def run(self, kind: int = ForwardMsg.FINISHED_SUCCESSFULLY, times: int = 1) -> Iterator[None]:
        """Wait for the end of the run that what is done inside begins; it must begin one."""
        before = self.ended[kind]
        yield
        self._wait(lambda: self.ended[kind] >= before + times, "the end of a run")

    def go(self, path: str) -> None:
        """Open a page and wait until nothing on it moves any more.

        Streamlit loads widgets when they are first drawn: on Compare the pictures move down by 68
        pixels when the controls above them take their place.
        """
        with self.run():
            self.page.goto(f"{self.url}/{path}")
        expect(self.page.get_by_test_id("stSkeleton")).to_have_count(0)

    def open(self, query: str = "") -> None:
        """Open Compare with a query, and wait for its pictures."""
        self.go(f"compare{query}")
        self.rendered()

    def see(self, *parts: str) -> None:
        """Scroll to parts of the page that are computed when they are seen."""
        for part in parts:
            if not self.page.locator(f".st-key-seen_{part}").count():
                with self.run():
                    self.page.locator(f".st-key-unseen_{part}").scroll_into_view_if_needed()
            expect(self.page.locator(f".st-key-seen_{part}")).to_have_count(1)

    def until(self, script: str, argument: object = None) -> None:
        """Wait until a script is true; the page's own security policy lets no string be one."""
        self._wait(lambda: self.page.evaluate(script, argument), f"{script} of {argument}")

    def _wait(self, come: Callable[[], object], what: str) -> None:
        since = monotonic()
        while not come():
            assert monotonic() < since + NEVER / 1000, f"it never came: {what}"
            self.page.wait_for_timeout(20)  # The page's messages are heard meanwhile.

    @property
    def main(self) -> Any:
        return self.page.get_by_test_id("stMain")

    def rendered(self) -> str:
        """Wait for pictures; return the token of what they show."""
        root = self.page.locator("[data-rendered]")
        expect(root).to_have_count(1)
        # Hidden until the controls above them are there.
        expect(root).to_be_visible()
        return root.get_attribute("data-rendered") or ""

    def wait_for_new_pictures(self, token: str) -> str:
        expect(self.page.locator("[data-rendered]")).not_to_have_attribute("data-rendered", token)
        return self.rendered()

    def select(self, key: str, option: str) -> None:
        # Typing filters the list, which draws only the options in sight.
        self.page.locator(f".st-key-{key} input").first.click()
        self.page.locator(f".st-key-{key} input").first.fill(option)
        self.page.get_by_role("option", name=option, exact=True).click()

    def number(self, key: str, value: int) -> None:
        box = self.page.locator(f".st-key-{key} input")
        box.fill(str(value))
        box.press("Enter")

    def slide(self, key: str, presses: int) -> None:
        self.page.locator(f".st-key-{key} input[type=range]").focus()
        for _ in range(abs(presses)):
            self.page.keyboard.press("ArrowRight" if presses > 0 else "ArrowLeft")

    def upload(self, name: str, data: bytes) -> None:
        self.page.locator(".st-key-file input[type=file]").set_input_files(
            {"name": name, "mimeType": "application/octet-stream", "buffer": data}
        )

    def figures(self) -> str:
        """The text of all panel titles and subtitles."""
        return re.sub(r"\s+", " ", self.page.locator(".linked .pictures").inner_text())


@pytest.fixture
def app(page: Page, server: tuple[str, Path]) -> Iterator[App]:
    url, log = server
    before = len(log.read_text())
    faults: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        # Opened below the root, Streamlit first looks for its server there, and then at the root.
        looking = re.search(r"/\w+/_stcore/(health|host-config)$", message.location["url"])
        if message.type == "error" and not looking:
            faults.append(f"console: {message.text} {message.location['url']}")

    page.on("console", heard)
    page.on("pageerror", lambda error: faults.append(f"page: {error}"))
    yield App(page, url)
    assert page.get_by_test_id("stException").count() == 0
    assert faults == []
    written = GONE.sub("", log.read_text()[before:])
    assert "Traceback" not in written, written
    assert "Warning" not in written, written
