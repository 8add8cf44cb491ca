"""What a browser is told about every answer: what it may load, run and frame."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from streamlit.file_util import get_static_dir

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Headers", "policy", "script_hashes"]

#: A script that stands in the page itself: one without an address.
_INLINE = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)
_PERMISSIONS = (
    "camera",
    "display-capture",
    "geolocation",
    "microphone",
    "payment",
    "serial",
    "usb",
)


def script_hashes(page: str) -> list[str]:
    """Return the hash of each script that stands in a page itself, as a policy names it."""
    digests = (hashlib.sha256(text.encode()).digest() for text in _INLINE.findall(page))
    return [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]


@cache
def _scripts_of_the_page() -> list[str]:
    return script_hashes((Path(get_static_dir()) / "index.html").read_text(encoding="utf-8"))


def policy(ancestors: str = "") -> str:
    """Return the Content-Security-Policy.

    Parameters
    ----------
    ancestors : str
        Sites that may show the app in a frame, besides its own.

    Returns
    -------
    str
    """
    return "; ".join(
        (
            "default-src 'self'",
            # Components hand their scripts to the browser as blobs.
            " ".join(("script-src 'self' blob:", *_scripts_of_the_page())),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "media-src 'self' data: blob:",
            "worker-src 'self' blob:",
            # Streamlit's own files read what is inside data: and blob: addresses. What browsers
            # before 2022 lack: 'self' is also the page's own websocket.
            "connect-src 'self' data: blob:",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            f"frame-ancestors 'self' {ancestors}".rstrip(),
        )
    )


class Headers:
    """Add what protects a visitor's browser to every answer.

    Parameters
    ----------
    app : callable
        What answers.
    ancestors : str
        Sites that may show the app in a frame, besides its own.
    """

    def __init__(self, app: ASGIApp, ancestors: str = "") -> None:
        self._app = app
        added = {
            "content-security-policy": policy(ancestors),
            "x-content-type-options": "nosniff",
            "referrer-policy": "same-origin",
            "permissions-policy": ", ".join(f"{name}=()" for name in _PERMISSIONS),
        }
        if not ancestors:  # It cannot name a site; the policy above can.
            added["x-frame-options"] = "SAMEORIGIN"
        self._added = [(name.encode(), value.encode()) for name, value in added.items()]
        self._names = {name for name, _ in self._added}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [pair for pair in message["headers"] if pair[0].lower() not in self._names]
                message = {**message, "headers": [*kept, *self._added]}
            await send(message)

        await self._app(scope, receive, add if scope["type"] == "http" else send)
