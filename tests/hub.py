"""A server on this machine that speaks ranges and errors, in place of the Hub."""

from __future__ import annotations

import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["Hub", "serving"]


class Hub(ThreadingHTTPServer):
    """Files by path; what was asked for; how to misbehave."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None, str | None]] = []
        self.sent = 0
        self.status: dict[str, int] = {}
        self.cuts = 0
        self.no_ranges = False
        self.version = "1"
        self.token: str | None = None
        #: Part of the path of what is never answered, and what ends the waiting for it.
        self.silent: str | None = None
        self.over = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None: ...

    def fail(self, status: int) -> None:
        self.send_response(status)
        if status == 404:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        hub = self.server
        wanted = self.headers.get("Range")
        # huggingface_hub asks for a list of its own besides.
        if "/resolve/" in self.path:
            hub.asked.append((self.path, wanted, self.headers.get("Authorization")))
        if hub.silent and hub.silent in self.path:
            hub.over.wait()
            self.close_connection = True
            return None
        name = re.sub(r"/resolve/[^/]+/", "/", self.path).lstrip("/")
        if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
            return self.fail(401)
        for part, status in hub.status.items():
            if part in f"{self.path} {wanted}":
                return self.fail(status)
        if name not in hub.files:
            return self.fail(404)
        data = hub.files[name]
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", wanted or "")
        start, end = (int(found[1]), int(found[2]) + 1) if found else (0, len(data))
        if start >= len(data):
            return self.fail(416)
        body = data if hub.no_ranges else data[start:end]
        self.send_response(200 if hub.no_ranges else 206)
        self.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{len(data)}")
        self.send_header("ETag", f'"{hub.version}"')
        self.send_header("X-Repo-Commit", "c0ffee")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if hub.cuts and len(body) > 8:
            hub.cuts -= 1
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            return None
        hub.sent += len(body)
        self.wfile.write(body)
        return None


@contextmanager
def serving() -> Iterator[Hub]:
    """Run one, and end it."""
    socketserver.TCPServer.allow_reuse_address = True
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
