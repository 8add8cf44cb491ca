"""JSON files of bounded size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lolora_core.files.ranges import LocalFile

__all__ = ["MAX_JSON", "json_object", "read_json"]

MAX_JSON = 50_000_000


def read_json(path: Path) -> dict[str, Any]:
    """Return the object of a JSON file of bounded size.

    Raises
    ------
    ValueError
        Not readable, not an object, or above 50 MB.
    """
    file = LocalFile(path)
    if file.size > MAX_JSON:
        raise ValueError(f"{path} has {file.size:,} bytes; at most {MAX_JSON:,} are read")
    return json_object(bytes(file.read(0, file.size)), str(path))


def json_object(text: bytes, label: str) -> dict[str, Any]:
    """Return the JSON object in `text`, or raise ValueError that names `label`."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{label} is not readable JSON: {str(error)[:120]}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{label} must hold a JSON object")
    return found
