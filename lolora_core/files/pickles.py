"""Pickles run code, so they are refused by name and by content."""

from __future__ import annotations

from lolora_core.common.names import display_name

PICKLES = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt")


HOW_TO_CONVERT = (
    "Opening it would run code that a pickle can carry, so it is refused. Convert it where you "
    "trust it: state = torch.load(path, weights_only=True); "
    "safetensors.torch.save_file(state, 'weights.safetensors')."
)


def refuse_pickle_name(name: str) -> None:
    """Raise ValueError if a file name ends like a pickle; the message says how to convert it."""
    if name.lower().endswith(PICKLES):
        raise ValueError(f"{display_name(name)} is a pickle by its name. {HOW_TO_CONVERT}")


def refuse_pickle_bytes(data: bytes, name: str) -> None:
    """Raise ValueError if bytes begin like a pickle or a torch.save archive, whatever the name."""
    pickled = data[:1] == b"\x80" and data[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")
    if pickled or (data.startswith(b"PK\x03\x04") and not is_array_archive(data)):
        raise ValueError(
            f"{display_name(name)} begins like a pickle or a torch.save archive. {HOW_TO_CONVERT}"
        )


def is_array_archive(data: bytes) -> bool:
    """Return whether a zip begins with an array of NumPy, as an .npz does.

    Examples
    --------
    >>> is_array_archive(b"PK" + bytes(24) + bytes([5, 0, 0, 0]) + b"a.npy")
    True
    """
    named = data[30 : 30 + int.from_bytes(data[26:28], "little")]
    return data.startswith(b"PK") and named.endswith(b".npy")
