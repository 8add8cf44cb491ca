"""What is added to answers on their way to a browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from starlette.middleware import Middleware

from app.server.headers import Headers
from app.server.health import Visitors
from app.server.private import Private, without_pointers
from app.server.quota import Quota
from app.shared.host import host

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Style", "stack"]

_STYLE = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
#: After what Streamlit writes into the head, so that of equal rules these hold.
_END = b"</body>"
_ADDED = f"<style>{_STYLE}</style>".encode()


class Style:
    """Put the app's style sheet into the page that opens first, so that it is never late.

    As an element of the app it came after what Streamlit fetches to draw it, and what had been
    drawn by then moved.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start: Message | None = None
        body = b""

        async def add(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start" and _is_html(message):
                start = message
            elif start is not None and message["type"] == "http.response.body":
                body += message.get("body", b"")
                if message.get("more_body"):
                    return
                await _send_page(start, _dressed(body), send)
            else:
                await send(message)

        await self._app(_plain(scope), receive, add)


def _plain(scope: Scope) -> Scope:
    """Ask for the page as it is: a compressed one cannot be added to."""
    if "." in scope["path"].rsplit("/", 1)[-1]:
        return scope
    kept = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
    return {**scope, "headers": kept}


def _dressed(page: bytes) -> bytes:
    return without_pointers(page).replace(_END, _ADDED + _END, 1)


def _is_html(message: Message) -> bool:
    return any(
        name.lower() == b"content-type" and value.startswith(b"text/html")
        for name, value in message["headers"]
    )


async def _send_page(start: Message, body: bytes, send: Send) -> None:
    kept = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
    headers = [*kept, (b"content-length", str(len(body)).encode())]
    await send({**start, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def stack() -> list[Middleware]:
    """Return what every request passes, the outermost first."""
    return [
        Middleware(Headers, ancestors=host().frame_ancestors),
        Middleware(Visitors),
        Middleware(Private),
        Middleware(Quota),
        Middleware(Style),
    ]
