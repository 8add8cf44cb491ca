"""The parts of the server, each by itself: headers, private answers, logs, the end, the drain."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import streamlit.logger
from streamlit import config

from app.server import drain, logs
from app.server.headers import Headers, script_hashes
from app.server.health import State
from app.server.private import without_pointers
from app.shared import ending
from app.shared.host import Host

ROOT = Path(__file__).resolve().parents[3]


def answered(ancestors: str = "") -> dict[str, str]:
    """Return the headers that an answer gets, which had a policy of its own."""
    sent: list[Any] = []

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        own = [(b"X-Frame-Options", b"ALLOWALL"), (b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": own})

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(Headers(answer, ancestors)({"type": "http"}, None, send))  # type: ignore[arg-type]
    pairs = [(name.decode().lower(), value.decode()) for name, value in sent[0]["headers"]]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def test_a_frame_is_refused_unless_the_host_names_the_site() -> None:
    headers = answered()
    assert headers["x-frame-options"] == "SAMEORIGIN"
    assert headers["content-security-policy"].endswith("frame-ancestors 'self'")
    headers = answered("https://class.example")
    assert headers["x-frame-options"] == "ALLOWALL"
    policy = headers["content-security-policy"]
    assert policy.endswith("frame-ancestors 'self' https://class.example")


@pytest.mark.parametrize("bad", ["https://a; script-src *", "*", "a.example", "https://a\n"])
def test_a_site_that_may_frame_is_an_address_and_nothing_else(bad: str) -> None:
    with pytest.raises(ValueError, match="frame_ancestors"):
        Host(frame_ancestors=bad)


def test_only_scripts_in_the_page_itself_are_hashed() -> None:
    page = "<script>a()</script><script type='module' src='x.js'></script><script>\n</script>"
    found = script_hashes(page)
    assert len(found) == 2
    # printf 'a()' | openssl dgst -sha256 -binary | base64
    assert found[0] == "'sha256-qVpDBgj7bpq5hMAcGp3AOc79J3Y1Z4HvySTwKrWDoy4='"


def test_the_page_keeps_what_is_not_about_the_interface_for_programs() -> None:
    page = (
        b'<!-- kept --><link rel="icon" href="a"/><!-- the agent API --><p>For agents.</p>'
        b'<p>Kept.</p><link rel="service-desc" href="b"/><script>x</script>'
    )
    kept = b'<!-- kept --><link rel="icon" href="a"/><p>Kept.</p><script>x</script>'
    assert without_pointers(page) == kept


@pytest.fixture
def quiet_logging() -> Iterator[None]:
    """Put loggers back as they were."""
    root, hook = logging.getLogger(), threading.excepthook
    setup, names = streamlit.logger.setup_formatter, list(logging.root.manager.loggerDict)
    before = [
        (logger, list(logger.handlers), logger.propagate)
        for logger in (root, *map(logging.getLogger, names))
    ]
    yield
    for logger, handlers, propagate in before:
        logger.handlers[:], logger.propagate = handlers, propagate
    streamlit.logger.setup_formatter, threading.excepthook = setup, hook


@pytest.fixture
def lines(quiet_logging: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    logs.log_as_json()
    yield written
    # A logger that came later is known to Streamlit, and would keep none of its own handlers.
    streamlit.logger._loggers.pop("a.later.logger", None)


def test_logs_are_json_without_what_visitors_gave(lines: io.StringIO) -> None:
    later = streamlit.logger.get_logger("a.later.logger")
    later.warning("refused %s from %s", "secret.npy", "192.0.2.7")
    logging.getLogger("app.server").info("a visitor came", extra={"visitors": 3, "file": "secret"})
    logging.getLogger("uvicorn.access").error("192.0.2.7 GET /?secret=1")
    try:
        raise ValueError("secret.npy is no file")
    except ValueError:
        later.exception("Uncaught app execution")
    text = lines.getvalue()
    warning, came, error = map(json.loads, text.splitlines())
    assert warning["message"] == "refused %s from %s"
    assert (warning["level"], warning["logger"]) == ("warning", "a.later.logger")
    assert came["visitors"] == 3
    assert error["error"] == "ValueError"
    (place,) = error["places"]
    assert place.startswith("tests/app/server/test_parts.py:")
    assert "secret" not in text
    assert "192.0.2.7" not in text


def test_a_thread_that_fails_is_a_line_too(lines: io.StringIO) -> None:
    def fail() -> None:
        raise RuntimeError("secret")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    (line,) = map(json.loads, lines.getvalue().splitlines())
    assert (line["message"], line["error"]) == ("a thread ended with an error", "RuntimeError")


def test_everything_is_closed_the_latest_first_though_one_fails(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "_closers", [])
    closed: list[str] = []

    def first() -> None:
        closed.append("first")

    def fails() -> None:
        raise OSError("no")

    for close in (first, fails, first, lambda: closed.append("last")):
        ending.at_the_end(close)
    ending.end()
    assert closed == ["last", "first"]
    assert [record.message for record in caplog.records] == ["something could not be closed"]


@pytest.mark.parametrize(("visitors", "wait", "seconds"), [(1, True, drain.GRACE), (0, True, 0.0)])
def test_sigterm_drains_then_does_what_it_did_before(
    monkeypatch: pytest.MonkeyPatch, visitors: int, wait: bool, seconds: float
) -> None:
    state, heard = State(), []
    state.visitors = visitors

    def before(number: int, frame: FrameType | None) -> None:
        heard.append(number)

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        delays: list[float] = []

        def later(delay: float, call: Any, *arguments: Any) -> None:
            delays.append(delay)
            call(*arguments)
            ended.set()

        ended = asyncio.Event()
        monkeypatch.setattr(loop, "call_later", later)
        with drain.draining(wait=wait, state=state, give_up=heard.append):
            for _ in range(2):  # A second one changes nothing.
                signal.raise_signal(signal.SIGTERM)
            assert state.draining
            await ended.wait()
        assert delays == [seconds]
        assert signal.getsignal(signal.SIGTERM) is before

    kept = signal.signal(signal.SIGTERM, before)
    timers: list[float] = []

    class Timer:
        daemon = False

        def __init__(self, seconds: float, call: Any, arguments: tuple[int]) -> None:
            timers.append(seconds)

        def start(self) -> None:
            assert self.daemon

    monkeypatch.setattr(threading, "Timer", Timer)
    try:
        asyncio.run(serve())
    finally:
        signal.signal(signal.SIGTERM, kept)
    assert heard == [signal.SIGTERM]
    assert timers == [drain.LIMIT]
    assert drain.LIMIT < 5


@pytest.fixture
def started_from(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(request.param)
    monkeypatch.setattr(config, "_main_script_path", str(ROOT / "app" / "main.py"))
    config.get_config_options(force_reparse=True)
    yield
    monkeypatch.undo()
    config.get_config_options(force_reparse=True)


@pytest.mark.parametrize("started_from", [ROOT, ROOT / "app", "/"], indirect=True)
def test_the_settings_hold_wherever_the_app_is_started_from(started_from: None) -> None:
    expected = {
        "server.enableXsrfProtection": True,
        "server.enableCORS": True,
        "server.maxUploadSize": Host().max_upload_mb,
        "server.websocketPingInterval": 5,
        "browser.gatherUsageStats": False,
        "client.showErrorDetails": "none",
        "client.toolbarMode": "minimal",
        "logger.enableRich": False,
        "runner.postScriptGC": False,
    }
    assert {name: config.get_option(name) for name in expected} == expected
    for name in ("server.enableXsrfProtection", "server.maxUploadSize", "client.showErrorDetails"):
        assert config.get_where_defined(name) == str(ROOT / "app" / ".streamlit" / "config.toml")
