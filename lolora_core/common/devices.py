"""Which devices are there, and which one is meant."""

from __future__ import annotations

import torch

__all__ = ["available_devices", "resolve_device"]


def available_devices() -> tuple[str, ...]:
    """Return the types of device that torch can use here, best first.

    Examples
    --------
    >>> available_devices()[-1]
    'cpu'
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    return tuple(name for name, is_there in there.items() if is_there)


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """Return the device of that name; "auto" is the best there is.

    Raises
    ------
    ValueError
        A device that this machine or this torch does not have.

    Examples
    --------
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    available = available_devices()
    if device == "auto":
        return torch.device(available[0])
    try:
        found = torch.device(device)
    except RuntimeError:
        found = None
    if (
        found is None
        or found.type not in available
        or (found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count())
    ):
        raise ValueError(
            f"device must be auto or one that is there ({', '.join(available)}); it is {device!r}"
        )
    return found
