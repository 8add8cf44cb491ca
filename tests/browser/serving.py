"""A Streamlit script served on a free port, and the flags of a quiet Chromium."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def serve(
    script: Path, folder: Path, *options: str, **environment: str
) -> Iterator[tuple[str, Path]]:
    """Run a script from `folder`; yield its address and its log, stop it at the end."""
    with started(script, folder, *options, **environment) as (url, log, _):
        yield url, log


@contextmanager
def started(
    script: Path,
    folder: Path,
    *options: str,
    module: str = "streamlit",
    port: str = "",
    **environment: str,
) -> Iterator[tuple[str, Path, subprocess.Popen[bytes]]]:
    """Do what `serve` does, on a port if need be, and yield the process too.

    `module` stands for Streamlit's command.
    """
    log = folder / "server.log"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = port or str(probe.getsockname()[1])
    command = [sys.executable, "-m", module, "run", str(script), *options]
    command += ["--server.port", port, "--server.headless", "true"]
    with log.open("w") as out:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | environment,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_healthy(url, process, log)
        yield url, log, process
    finally:
        process.terminate()
        process.wait(20)


def _wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"the server did not start:\n{log.read_text()}")
