"""Uploads of one visitor are bounded before they are read, and forgotten when the visitor left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

import pytest
from starlette.types import Message, Receive, Scope, Send
from streamlit import runtime
from streamlit.runtime.memory_session_storage import MemorySessionStorage
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.session_manager import SessionInfo
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from app.server.quota import Quota, forget_who_left
from app.shared.host import MEGABYTE


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What Streamlit keeps for its visitors, with limits of 3 MB for all files and 1 MB for one."""
    monkeypatch.setenv("LOLORA_MAX_VISITOR_MB", "3")
    monkeypatch.setenv("LOLORA_MAX_UPLOAD_MB", "1")
    made = MagicMock(uploaded_file_mgr=MemoryUploadedFileManager("/_stcore/upload_file"))
    made._session_mgr._session_storage = MemorySessionStorage(ttl_seconds=0)
    monkeypatch.setattr(runtime, "exists", lambda: True)
    monkeypatch.setattr(runtime, "get_instance", lambda: made)
    return made


def put(quota: Quota, session: str, length: int | None) -> Any:
    """Return what sends an upload: the status of its answer."""
    headers = [] if length is None else [(b"content-length", str(length).encode())]
    scope: Scope = {
        "type": "http",
        "method": "PUT",
        "path": f"/_stcore/upload_file/{session}/file",
        "headers": headers,
    }

    async def ask() -> int:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            raise AssertionError("nothing of it is to be read")

        await quota(scope, receive, send)
        return int(sent[0]["status"])

    return ask()


def holding(server: Any) -> Callable[[Scope, Receive, Send], Any]:
    """Return an app that holds a file of 1 MB for each upload."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        session = scope["path"].split("/")[3]
        count = len(server.uploaded_file_mgr.file_storage[session])
        file = UploadedFileRec(f"{count}", "x.npy", "", bytes(MEGABYTE))
        server.uploaded_file_mgr.add_file(session, file)
        await send({"type": "http.response.start", "status": 204, "headers": []})

    return app


def test_one_more_than_the_pages_allow_is_taken_and_no_more(server: Any) -> None:
    quota = Quota(holding(server))
    for length in (MEGABYTE, None):
        session = f"with {length}"
        answers = [asyncio.run(put(quota, session, length)) for _ in range(6)]
        assert answers == [204] * 4 + [413] * 2
    # Another visitor is not concerned, nor is what is no upload.
    assert asyncio.run(put(quota, "other", MEGABYTE)) == 204


def test_uploads_that_come_at_once_are_counted_together(server: Any) -> None:
    quota = Quota(holding(server))
    there = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await there.wait()
        await holding(server)(scope, receive, send)

    quota._app = slow

    async def together() -> list[int]:
        tasks = [asyncio.create_task(put(quota, "one", MEGABYTE)) for _ in range(6)]
        for _ in range(10):
            await asyncio.sleep(0)
        assert [task.done() for task in tasks] == [False] * 4 + [True] * 2
        there.set()
        return [await task for task in tasks]

    assert asyncio.run(together()) == [204] * 4 + [413] * 2


def test_who_left_and_may_not_come_back_holds_nothing(server: Any) -> None:
    session = MagicMock(id="gone")
    session.shutdown.side_effect = lambda: server.uploaded_file_mgr.remove_session_files("gone")
    assert asyncio.run(put(Quota(holding(server)), "gone", MEGABYTE)) == 204
    storage = server._session_mgr._session_storage
    storage.save(SessionInfo(client=None, session=session, script_run_count=1))
    forget_who_left()
    assert not server.uploaded_file_mgr.file_storage
    assert session.shutdown.call_count == 1
