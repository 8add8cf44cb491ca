"""How the server is, for a proxy and for who runs it: ``/healthz``."""

from __future__ import annotations

import logging
import sys
import time
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse
from starlette.routing import Route

if sys.platform != "win32":
    import resource

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["PATH", "STATE", "State", "Visitors", "routes"]

PATH = "/healthz"
_LOG = logging.getLogger("app.server")
_MB = 1_000_000


class State:
    """What the server knows of itself.

    Attributes
    ----------
    visitors : int
        Open pages, each with a connection of its own.
    draining : bool
        Whether the server is about to end and should get no new visitors.
    """

    def __init__(self) -> None:
        self.visitors = 0
        self.draining = False
        self._began = time.monotonic()

    @property
    def uptime(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began


#: Of this process.
STATE = State()


class Visitors:
    """Count the pages that are open, and log that one came or left: nothing about whom."""

    def __init__(self, app: ASGIApp, state: State = STATE) -> None:
        self._app, self._state = app, state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        accepted = False

        async def count(message: Message) -> None:
            nonlocal accepted
            if message["type"] == "websocket.accept":
                accepted = True
                self._state.visitors += 1
                _LOG.info("a visitor came", extra={"visitors": self._state.visitors})
            await send(message)

        try:
            await self._app(scope, receive, count)
        finally:
            if accepted:
                self._state.visitors -= 1
                _LOG.info("a visitor left", extra={"visitors": self._state.visitors})


@cache
def _version() -> str:
    try:
        return version("lolora-core")
    except PackageNotFoundError:  # A checkout that is not installed.
        return "unknown"


def _memory_mb() -> tuple[float, float]:
    """Return what the process holds now, and held at most, in MB; 0 where it is not known."""
    if sys.platform == "win32":
        return 0.0, 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_mb = peak * (1 if sys.platform == "darwin" else 1024) / _MB
    pages = Path("/proc/self/statm")
    if not pages.exists():
        return peak_mb, peak_mb
    held = int(pages.read_text().split()[1]) * resource.getpagesize()
    return held / _MB, peak_mb


def _report(state: State) -> JSONResponse:
    held, peak = _memory_mb()
    content = {
        "status": "draining" if state.draining else "ok",
        "version": _version(),
        "uptime_seconds": round(state.uptime, 1),
        "visitors": state.visitors,
        "memory_mb": round(held),
        "peak_memory_mb": round(peak),
    }
    return JSONResponse(
        content, 503 if state.draining else 200, headers={"cache-control": "no-store"}
    )


def routes(state: State = STATE) -> list[Route]:
    """Return the address that says how the server is.

    Parameters
    ----------
    state : State

    Returns
    -------
    list of Route
    """

    async def answer(_: Request) -> JSONResponse:
        return _report(state)

    return [Route(PATH, answer)]
