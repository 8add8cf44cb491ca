"""Logs of a hosted server: one JSON object a line on stderr, without visitors' data.

A message is written as it stands in the program, never with what was filled in, as that may be an
address, a file's name or a link; of an exception the type and the places in the program.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import traceback
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import streamlit
import streamlit.logger

__all__ = ["JsonLines", "log_as_json"]

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = Path(streamlit.__file__).resolve().parents[1]
#: Numbers that a line may carry besides: counts, never anything of a visitor.
_EXTRA = ("visitors", "seconds")
_LOG = logging.getLogger("app.server")


class JsonLines(logging.Formatter):
    """One line for each record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as a JSON object."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.msg if isinstance(record.msg, str) else type(record.msg).__name__,
        }
        line |= {name: getattr(record, name) for name in _EXTRA if hasattr(record, name)}
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            line |= {"error": type(error).__name__, "places": _places(error)}
        return json.dumps(line, ensure_ascii=False)


def _places(error: BaseException) -> list[str]:
    """Return where an error came from, the outermost place first, in files of the program."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]


@cache
def _short(filename: str) -> str:
    path = Path(filename)
    for folder in (_ROOT, _PACKAGES):
        if path.is_relative_to(folder):
            return str(path.relative_to(folder))
    return path.name


def log_as_json() -> None:
    """Write all logs of this process as JSON lines, those of loggers that come later too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.getLogger().handlers[:] = [handler]
    for name in [*logging.root.manager.loggerDict, "uvicorn.access"]:
        _hand_on(logging.getLogger(name))
    # Streamlit gives each of its loggers a handler of its own, with this function.
    streamlit.logger.setup_formatter = _hand_on
    threading.excepthook = _log_thread
    _LOG.setLevel(logging.INFO)


def _hand_on(logger: logging.Logger) -> None:
    logger.handlers.clear()
    # A line a request would say who asked for what.
    logger.propagate = logger.name != "uvicorn.access"


def _log_thread(found: threading.ExceptHookArgs) -> None:
    if found.exc_value is not None:
        _LOG.error("a thread ended with an error", exc_info=found.exc_value)
