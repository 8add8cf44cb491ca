"""What a server says about itself, kept from its visitors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Private", "without_pointers"]

#: Metrics of the process, and an interface for programs that is off.
_CLOSED = re.compile(r"/_stcore/(?:metrics|agent)(?:/|$)")
#: Where the page names that interface: comments, paragraphs and links.
_POINTER = re.compile(
    rb"<!--(?:(?!-->).)*?agent(?:(?!-->).)*-->\s*"
    rb"|<p>(?:(?!</p>).)*?agent(?:(?!</p>).)*</p>\s*"
    rb'|<link rel="service-desc"[^>]*>\s*',
    re.DOTALL,
)
#: Bytes; what begins a run is smaller, what is drawn may be megabytes and is not looked into.
_LARGEST = 65_536


def without_pointers(page: bytes) -> bytes:
    """Return a page that does not name the interface for programs."""
    return _POINTER.sub(b"", page)


def _nameless(data: bytes) -> bytes:
    """Return what begins a run of the script without path, machine and its version of Python.

    Streamlit's own version stays: a page that hears of another than its own loads itself anew.
    """
    message = ForwardMsg.FromString(data)
    if message.WhichOneof("type") != "new_session":
        return data
    begun = message.new_session
    # The browser compares it from run to run, and with nothing else.
    begun.main_script_path = begun.name
    begun.initialize.user_info.Clear()
    for field in ("python_version", "server_os", "has_display"):
        begun.initialize.environment_info.ClearField(field)
    return message.SerializeToString()


class Private:
    """Refuse what is for who runs the server, and tell a page neither path nor machine."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and _CLOSED.search(scope["path"]):
            await PlainTextResponse("Not found", 404)(scope, receive, send)
            return

        async def tell(message: Message) -> None:
            data = message.get("bytes") if message["type"] == "websocket.send" else None
            if data and len(data) < _LARGEST:
                message = {**message, "bytes": _nameless(data)}
            await send(message)

        await self._app(scope, receive, tell if scope["type"] == "websocket" else send)
