"""Runs that were made, kept line by line, so that an experiment goes on where it was stopped."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lolora_core.training.methods import resolve_method
from lolora_core.training.tasks import resolve_task
from lolora_core.training.trials import Reading, Trial, TrialEnd

__all__ = ["Store", "machine"]

_PACKAGES = ("lolora-core", "torch", "numpy", "scikit-learn")


def machine() -> dict[str, Any]:
    """Return what the numbers depend on: the class of machine, and the versions."""
    return {
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _key(trial: Trial) -> str:
    method = resolve_method(trial.method)
    named = (resolve_task(trial.task).name, method.name, method.rank, method.grid)
    return json.dumps([*named, *trial[2:]])


class Store:
    """Ends of runs by what was run, in memory and, where a path is given, in a file of JSON lines.

    Parameters
    ----------
    path : Path, optional
        Made where it is not there. The first line says on what machine and with which versions the
        runs were made, each further one holds a run.

    Raises
    ------
    ValueError
        A file that others wrote: another machine, other versions.

    Examples
    --------
    >>> Store().get(Trial("image", "full", 0.1, 0, 1, "test")) is None
    True
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path, self._ends = path, dict[str, TrialEnd]()
        if path is None:
            return
        about = machine()
        if not path.is_file():
            path.write_text(json.dumps(about) + "\n", encoding="utf-8")
            return
        # What was cut off while it was written has no end of line.
        whole, _, torn = path.read_text(encoding="utf-8").rpartition("\n")
        first, *lines = whole.split("\n")
        if json.loads(first) != about:
            raise ValueError(
                f"the runs in {path} were made on another machine or with other versions "
                f"({first}); name another file, or delete this one"
            )
        for line in lines:
            key, end = json.loads(line)
            self._ends[key] = _end(end)
        if torn:
            path.write_text(whole + "\n", encoding="utf-8")

    def get(self, trial: Trial) -> TrialEnd | None:
        """Return how a run ended, where it was made."""
        return self._ends.get(_key(trial))

    def put(self, trial: Trial, end: TrialEnd) -> None:
        """Keep how a run ended."""
        key = _key(trial)
        self._ends[key] = end
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps([key, end]) + "\n")


def _end(values: list[Any]) -> TrialEnd:
    end = TrialEnd(*values)
    curve = tuple(Reading(*point) for point in end.curve)
    return end._replace(stopped=Reading(*end.stopped), final=Reading(*end.final), curve=curve)
