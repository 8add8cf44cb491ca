"""What uploads may take of the server's memory, whoever sends them, and when it is given back.

The pages say so in sentences before this is reached: see `app.shared.held`. Here the bytes are
refused before they are read, also from who does not use the pages.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from typing import TYPE_CHECKING, cast

from starlette.formparsers import MultiPartParser
from streamlit import runtime
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager

from app.shared.host import MEGABYTE, host

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send
    from streamlit.runtime.caching.ttl_cache import TTLCache
    from streamlit.runtime.memory_session_storage import MemorySessionStorage
    from streamlit.runtime.session_manager import SessionInfo
    from streamlit.runtime.websocket_session_manager import WebsocketSessionManager

__all__ = ["Quota", "forget_for_ever", "forget_who_left", "keep_in_memory"]

_UPLOADS = "/_stcore/upload_file/"
#: Seconds between two looks at who has left.
EVERY = 10.0


def keep_in_memory() -> None:
    """Let uploads come without the disk, where what is larger than 1 MB would lie on its way.

    The pages promise that a file stays in memory, and a full disk then refuses none. How much may
    come is bounded by `Quota`.
    """
    MultiPartParser.spool_max_size = sys.maxsize


class Quota:
    """Refuse an upload that brings a visitor's files above what they may hold together.

    One upload more than the pages allow is taken, so that they can say in a sentence what to do.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        #: Bytes on their way, by session.
        self._coming: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["method"] == "PUT" and _UPLOADS in scope["path"]:
            session = scope["path"].split(_UPLOADS, 1)[1].split("/")[0]
            await self._upload(session, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _upload(self, session: str, scope: Scope, receive: Receive, send: Send) -> None:
        length = _length(scope)
        if length + self._coming[session] + held_by(session) > _most():
            await _refuse(send)
            return
        self._coming[session] += length
        try:
            await self._app(scope, receive, send)
        finally:
            self._coming[session] -= length
            self._coming += Counter()  # without those of which nothing is left


def _most() -> int:
    limits = host()
    return (limits.max_visitor_mb + limits.max_upload_mb) * MEGABYTE


def _length(scope: Scope) -> int:
    """Return the bytes that a request says it has; one that does not say may have all of them."""
    said = dict(scope["headers"]).get(b"content-length", b"")
    return int(said) if said.isdigit() else host().max_upload_mb * MEGABYTE


def held_by(session: str) -> int:
    """Return the bytes of the files that Streamlit holds for a session."""
    if not runtime.exists():
        return 0
    files = cast("MemoryUploadedFileManager", runtime.get_instance().uploaded_file_mgr)
    return sum(len(file.data) for file in [*files.file_storage.get(session, {}).values()])


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    words = (
        f"Your uploads together may hold {host().max_visitor_mb} MB. Take one away, or open the "
        "page anew."
    )
    await send({"type": "http.response.body", "body": words.encode()})


def forget_who_left() -> None:
    """Let go of sessions whose visitors left and may no longer come back to them.

    Streamlit does so when another visitor leaves, which on a quiet server is never.
    """
    if not runtime.exists():
        return
    sessions = cast("WebsocketSessionManager", runtime.get_instance()._session_mgr)
    storage = cast("MemorySessionStorage", sessions._session_storage)
    for _, left in cast("TTLCache[str, SessionInfo]", storage._cache).expire():
        left.session.shutdown()


async def forget_for_ever(every: float = EVERY) -> None:
    """Look every few seconds for who has left; memory comes back with the next garbage.

    Parameters
    ----------
    every : float
        Seconds.
    """
    while True:
        await asyncio.sleep(every)
        forget_who_left()
