"""Checkpoints in several files: the index that names the shard of each tensor."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from typing import Any

__all__ = ["check_index", "check_shards"]


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


def check_shards(label: str, tensors: Container[str], index: Mapping[str, Any]) -> None:
    """Raise ValueError unless every tensor that an index names is there."""
    missing = [n for n in check_index(index, label) if n not in tensors]
    if missing:
        raise ValueError(
            f"the index of {label} names {missing[0]} and {len(missing) - 1} more tensors "
            "that its shards do not hold"
            if len(missing) > 1
            else f"the index of {label} names {missing[0]}, which its shards do not hold"
        )
