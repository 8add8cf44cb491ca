"""Work for the pool that does what a test wants."""

from __future__ import annotations

import importlib
import os
import sys
import time
from pathlib import Path

from app.shared.worker import Report

__all__ = ["count", "doubled", "fail", "hang", "loaded", "mark", "marked_by", "reporting"]


def doubled(number: float) -> float:
    return 2 * number


def mark() -> None:
    os.environ["MARKED_BY"] = str(os.getpid())


def marked_by() -> str | None:
    return os.environ.get("MARKED_BY")


def loaded(modules: list[str]) -> list[str]:
    """Import some modules, and return the names of all that were then imported."""
    for name in modules:
        importlib.import_module(name)
    return sorted(sys.modules)


def hang(begun: str) -> None:
    """Never end, and hear nothing."""
    Path(begun).write_text(str(os.getpid()))
    while True:
        time.sleep(60)


def reporting(begun: str, report: Report) -> None:
    """Never end, and say so."""
    Path(begun).write_text(str(os.getpid()))
    while True:
        report(0.25, "a quarter")
        time.sleep(0.01)


def count(log: str, gate: str) -> int:
    """Note each call in a file, and wait until another file is there."""
    with Path(log).open("a") as file:
        file.write("x")
    while not Path(gate).exists():
        time.sleep(0.01)
    return len(Path(log).read_text())


def fail() -> None:
    raise ValueError("The matrix is too thin.")
