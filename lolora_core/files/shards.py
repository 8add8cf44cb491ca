"""Checkpoints in several files: the index that names the shard of each tensor."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from lolora_core.files.ranges import ByteFile
from lolora_core.files.tensors import SafetensorsSource

__all__ = ["INDEX", "check_index", "sharded"]

INDEX = "model.safetensors.index.json"


def check_index(index: Mapping[str, Any], label: str) -> dict[str, str]:
    """Return the shard of every tensor that an index names, after checks.

    Raises
    ------
    ValueError
        No "weight_map" of names to plain file names.
    """
    places = index.get("weight_map")
    if not isinstance(places, dict) or not places:
        raise ValueError(f"{label} has no weight_map, which names the shard of each tensor")
    for name, shard in places.items():
        if not isinstance(shard, str) or not re.fullmatch(r"[\w.-]+\.safetensors", shard):
            raise ValueError(f"{label} names {shard!r} for {name}; a shard is NAME.safetensors")
    return places


def sharded(label: str, index: Mapping[str, Any], files: Iterable[ByteFile]) -> SafetensorsSource:
    """Return the source of the shards of an index; every tensor it names must be there."""
    source = SafetensorsSource(label, tuple(files))
    if missing := [name for name in check_index(index, label) if name not in source.tensors]:
        raise ValueError(
            f"the index of {label} names {missing[0]} and {len(missing) - 1} more tensors that its "
            "shards do not hold"
            if len(missing) > 1
            else f"the index of {label} names {missing[0]}, which its shards do not hold"
        )
    return source
