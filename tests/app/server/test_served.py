"""The app as a server runs it, hosted: one server for all of it, which the last test ends."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from app.server.headers import script_hashes
from benchmarks.load import Seen, come
from tests.browser.serving import ROOT, started

Server = tuple[str, Path, subprocess.Popen[bytes]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("hosted")
    with started(ROOT / "app" / "main.py", folder, LOLORA_HOSTED="1") as found:
        yield found


def ask(url: str) -> tuple[int, Message, str]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.headers, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.headers, refused.read().decode()


def opened(url: str) -> ClientConnection:
    address = f"{url.replace('http', 'ws', 1)}/_stcore/stream"
    return connect(address, subprotocols=[Subprotocol("streamlit")], close_timeout=0)


def test_every_answer_has_the_policy_and_the_page_may_run_its_script(server: Server) -> None:
    url, _, _ = server
    for path in ("/", "/compare", "/favicon.png", "/healthz", "/_stcore/host-config", "/media/no"):
        status, headers, body = ask(f"{url}{path}")
        policy = headers["content-security-policy"]
        assert "object-src 'none'" in policy, (path, status)
        assert "img-src 'self' data: blob:;" in policy
        assert policy.endswith("frame-ancestors 'self'")
        assert headers["x-frame-options"] == "SAMEORIGIN"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert "camera=()" in headers["permissions-policy"]
        if path == "/compare":
            hashes = script_hashes(body)
            assert hashes
            assert set(hashes) <= set(policy.replace(";", "").split())
            assert "agent" not in body


def test_headers_of_a_request_are_bounded(server: Server) -> None:
    url, _, _ = server
    address = urllib.parse.urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as line:
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nx-long: ")
        # It hangs up long before all of it is sent.
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            line.sendall(b"x" * 2**25)
    assert ask(f"{url}/healthz")[0] == 200


@pytest.mark.parametrize(
    "path", ["_stcore/metrics", "_stcore/agent/openapi.json", "compare/_stcore/agent/mcp"]
)
def test_what_is_for_who_runs_the_server_is_refused(server: Server, path: str) -> None:
    assert ask(f"{server[0]}/{path}")[0] == 404


def test_health_counts_visitors_and_says_how_much_memory(server: Server) -> None:
    url, _, _ = server
    before = json.loads(ask(f"{url}/healthz")[2])
    assert before["status"] == "ok"
    assert before["peak_memory_mb"] >= before["memory_mb"] > 10
    with opened(url) as page:
        message = begin(page)
        assert json.loads(ask(f"{url}/healthz")[2])["visitors"] == before["visitors"] + 1
    assert str(ROOT).encode() not in message.SerializeToString()
    told = message.new_session.initialize
    assert not told.environment_info.python_version
    assert not told.environment_info.server_os
    assert not told.user_info.installation_id_v3


def begin(page: ClientConnection) -> ForwardMsg:
    """Run the script, and return what its run begins with."""
    message = BackMsg()
    message.rerun_script.query_string = "x=secret-of-a-visitor"
    page.send(message.SerializeToString())
    while True:
        heard = ForwardMsg.FromString(page.recv(timeout=60, decode=False))
        if heard.HasField("new_session"):
            return heard


def test_a_class_of_twelve_sees_only_right_numbers(server: Server) -> None:
    seen = Seen()

    async def visit() -> None:
        async with asyncio.TaskGroup() as group:
            for seed in range(12):
                group.create_task(come(server[0], seen, 0.0, seed, (0.0, 0.0)))

    asyncio.run(visit())
    assert not seen.faults
    assert seen.checked == 12
    assert len(seen.opened) == 12
    assert seen.pictured


def test_a_server_that_is_told_to_end_drains_and_ends(server: Server) -> None:
    url, log, process = server
    with opened(url) as page:
        begin(page)
        process.send_signal(signal.SIGTERM)
        # It still answers while the runs of its visitors are drawn.
        while (found := ask(f"{url}/healthz"))[0] == 200:
            pass
        assert found[0] == 503
        assert json.loads(found[2])["status"] == "draining"
        assert process.wait(30) in (0, -signal.SIGTERM)
    lines = log.read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines if line.startswith("{")]
    told = [record["message"] for record in records]
    assert {"the server began", "a visitor came", "the server ends"} <= set(told)
    assert not [record for record in records if record["level"] == "error"]
    assert not re.search(r"Traceback|secret-of-a-visitor|127\.0\.0\.1.*GET", "\n".join(lines))
