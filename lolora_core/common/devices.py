"""Which device is meant, and whether it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    pass

__all__ = ["resolve_device"]


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """Return the device of that name; "auto" is cuda, then mps, then cpu.

    Raises
    ------
    ValueError
        A device that this machine or this torch does not have.

    Examples
    --------
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if device == "auto":
        return torch.device(next(name for name, there in available.items() if there))
    try:
        found = torch.device(device)
    except RuntimeError:
        found = None
    count = torch.cuda.device_count()
    if (
        found is None
        or not available.get(found.type, False)
        or (found.type == "cuda" and (found.index or 0) >= count)
    ):
        there = ", ".join(name for name, is_there in available.items() if is_there)
        raise ValueError(f"device must be auto or one that is there ({there}); it is {device!r}")
    return found
