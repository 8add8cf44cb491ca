"""An upload never lies on the server's disk, so a full one refuses none."""

from __future__ import annotations

import errno
import os
import tempfile
from unittest.mock import MagicMock

import pytest
from starlette.applications import Starlette
from starlette.formparsers import MultiPartParser
from starlette.testclient import TestClient
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.web.server.starlette import starlette_routes

from app.server.quota import keep_in_memory
from app.shared.host import MEGABYTE


def full(*args: object, **kwargs: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_large_upload_comes_while_the_disk_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MultiPartParser, "spool_max_size", MultiPartParser.spool_max_size)
    monkeypatch.setattr(starlette_routes, "is_xsrf_enabled", lambda: False)
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    files = MemoryUploadedFileManager("/_stcore/upload_file")
    routes = starlette_routes.create_upload_routes(MagicMock(), files, None)
    data = os.urandom(3 * MEGABYTE)
    keep_in_memory()
    with TestClient(Starlette(routes=routes)) as client:
        answer = client.put("/_stcore/upload_file/visitor/1", files={"x.npy": ("x.npy", data)})
    assert answer.status_code == 204
    assert files.file_storage["visitor"]["1"].data == data
