"""The processes of the pool of the server that these tests started, by way of /proc."""

from __future__ import annotations

import os
import signal
from pathlib import Path

__all__ = ["hold", "let_go", "running"]


def _parent(pid: str) -> str:
    # The name in parentheses may hold anything.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]


def running() -> set[int]:
    """Return the ids of the processes of the pool."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            named = b"popen_loky_posix" in (entry / "cmdline").read_bytes()
            if named and _parent(_parent(entry.name)) == str(os.getpid()):
                found.add(int(entry.name))
        except OSError:
            continue  # It ended meanwhile.
    return found


def hold() -> set[int]:
    """Let every process of the pool stand still, as one that hangs; return their ids."""
    held = running()
    for pid in held:
        os.kill(pid, signal.SIGSTOP)
    return held


def let_go() -> None:
    """Let them go on."""
    for pid in running():
        os.kill(pid, signal.SIGCONT)
