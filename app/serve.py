"""Several processes of the app for a class, behind a proxy: ``lolora serve``."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from app.server.health import PATH
from app.server.proxy import caddyfile, nginx
from app.shared.host import host

__all__ = ["Fleet", "Process", "main"]

_MAIN = Path(__file__).parent / "main.py"
#: Seconds between two looks at the processes.
_LOOK = 0.5
#: Seconds that the app may take to end, which is more than it takes.
_PATIENCE = 10.0
#: Seconds to wait before a process that ends again and again is started once more, at most.
_LONGEST = 30.0
#: Seconds after which an end is no longer one of a row.
_STEADY = 60.0


class Process:
    """A process that is started again when it ends by itself.

    Parameters
    ----------
    name : str
        For messages.
    command : sequence of str
    clock : callable, optional
        Seconds; for tests.
    """

    def __init__(
        self, name: str, command: Sequence[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name, self._command, self._clock = name, list(command), clock
        self._failures, self._began, self._again = 0, 0.0, 0.0
        self._running: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Of the process, or None between an end and a start."""
        return self._running.pid if self._running else None

    def start(self) -> None:
        """Start it."""
        environment = os.environ | {"LOLORA_HOSTED": "1"}
        self._began = self._clock()
        # Ctrl-C reaches all processes of a terminal; these hear it from here, after the proxy.
        self._running = subprocess.Popen(self._command, env=environment, start_new_session=True)

    def look(self) -> None:
        """Start it again if it has ended, after a while that grows with every end in a row."""
        now = self._clock()
        if self._running is not None and self._running.poll() is not None:
            code, self._running = self._running.returncode, None
            self._failures = 1 if now - self._began > _STEADY else self._failures + 1
            wait = min(_LONGEST, 2.0 ** (self._failures - 1))
            self._again = now + wait
            _say(f"{self.name} ended with code {code}; it starts again in {wait:.0f} s.")
        if self._running is None and now >= self._again:
            self.start()

    def tell_to_end(self) -> None:
        """Let it drain."""
        if self._running is not None and self._running.poll() is None:
            self._running.terminate()

    def wait(self) -> None:
        """Wait for its end, which is made if it does not come."""
        if self._running is None:
            return
        try:
            self._running.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._running.kill()
            self._running.wait()
        self._running = None


class Fleet:
    """The app's processes and, where there is one, their proxy.

    Parameters
    ----------
    workers : sequence of Process
    proxy : Process or None
    healthy : callable
        Waits until the worker of this place answers.
    """

    def __init__(
        self,
        workers: Sequence[Process],
        proxy: Process | None,
        healthy: Callable[[int], object],
    ) -> None:
        self._workers, self._proxy, self._healthy = list(workers), proxy, healthy
        self._over, self._renewing = threading.Event(), threading.Event()

    def end(self, *_: object) -> None:
        """Have `run` drain and end; a handler of SIGTERM and SIGINT."""
        self._over.set()

    def renew(self, *_: object) -> None:
        """Have `run` drain and start the workers anew, one after the other; for SIGHUP."""
        self._renewing.set()

    def run(self) -> None:
        """Start all, keep them up, and drain them at the end."""
        everyone = [*self._workers, *([self._proxy] if self._proxy else [])]
        try:
            for process in everyone:
                process.start()
            while not self._over.wait(_LOOK):
                if self._renewing.is_set():
                    self._renewing.clear()
                    self._renew()
                for process in everyone:
                    process.look()
        finally:
            for worker in self._workers:
                worker.tell_to_end()
            for worker in self._workers:
                worker.wait()
            if self._proxy:
                self._proxy.tell_to_end()
                self._proxy.wait()

    def _renew(self) -> None:
        for place, worker in enumerate(self._workers):
            if self._over.is_set():
                return
            worker.tell_to_end()
            worker.wait()
            worker.start()
            self._healthy(place)


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _worker(place: int, port: int, address: str) -> Process:
    command = [sys.executable, "-m", "streamlit", "run", str(_MAIN)]
    command += ["--server.headless", "true", "--server.address", address]
    return Process(f"worker {place + 1}", [*command, "--server.port", str(port)])


def _wait_until_healthy(port: int, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{PATH}", timeout=5):
                return
        except OSError:
            time.sleep(_LOOK)
    _say(f"The worker on port {port} does not answer after {seconds:.0f} s.")


def _with_proxy(port: int, ports: Sequence[int], folder: Path) -> Process | None:
    """Return Caddy where it is installed; else say what to write for a proxy."""
    upstreams = [f"127.0.0.1:{number}" for number in ports]
    caddy = shutil.which("caddy")
    if caddy is None:
        _say(
            "Caddy is not on PATH, so nothing listens on port "
            f"{port} yet; visitors need a proxy that keeps each with one worker. Install Caddy, or "
            "give nginx this, inside its http block:\n"
        )
        typer.echo(nginx(str(port), upstreams, host().max_upload_mb))
        return None
    written = folder / "Caddyfile"
    written.write_text(caddyfile(f":{port}", upstreams), encoding="utf-8")
    return Process("the proxy", [caddy, "run", "--config", str(written), "--adapter", "caddyfile"])


def main(
    workers: Annotated[int, typer.Option(min=1, help="Processes of the app: one a core.")] = 2,
    port: Annotated[
        int, typer.Option(min=1, max=65000, help="Of the proxy; the workers have those above it.")
    ] = 8501,
) -> None:
    """Serve the app with several processes behind a proxy; docs/hosting.md.

    SIGTERM drains them and ends; SIGHUP drains and starts them anew, one after the other.
    """
    if workers == 1:
        ports, address = [port], "0.0.0.0"
    else:
        ports, address = [port + place for place in range(1, workers + 1)], "127.0.0.1"
    with tempfile.TemporaryDirectory(prefix="lolora-") as folder:
        fleet = Fleet(
            [_worker(place, number, address) for place, number in enumerate(ports)],
            _with_proxy(port, ports, Path(folder)) if workers > 1 else None,
            lambda place: _wait_until_healthy(ports[place]),
        )
        for name in ("SIGTERM", "SIGINT"):
            signal.signal(getattr(signal, name), fleet.end)
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, fleet.renew)
        fleet.run()


if __name__ == "__main__":
    typer.run(main)
