"""JSON files of bounded size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lolora_core.files.bounded_json import LIMITS, JsonLimits, parse_json
from lolora_core.files.ranges import ByteFile, LocalFile

__all__ = ["json_object", "read_json"]


def read_json(file: Path | ByteFile, limits: JsonLimits = LIMITS) -> dict[str, Any]:
    """Return the object of a JSON file of bounded size.

    Raises
    ------
    ValueError
        Not readable, not an object, or above a limit.
    """
    held = LocalFile(file) if isinstance(file, Path) else file
    if held.size > limits.size:
        raise ValueError(f"{held.label} has {held.size:,} bytes; at most {limits.size:,} are read")
    return json_object(bytes(held.read(0, held.size)), held.label, limits)


def json_object(text: bytes, label: str, limits: JsonLimits = LIMITS) -> dict[str, Any]:
    """Return the JSON object in `text`, or raise ValueError that names `label`; see `parse_json`.

    Examples
    --------
    >>> json_object(b'{"r": 8}', "settings")
    {'r': 8}
    """
    try:
        found = parse_json(text, limits)
    except ValueError as error:
        raise ValueError(f"{label} is not readable JSON: {str(error)[:120]}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{label} must hold a JSON object")
    return found
