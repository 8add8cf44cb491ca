"""Folders with an adapter."""

from pathlib import Path

from lolora_core.checkpoints.source import TensorSource


def is_adapter_folder(folder: Path) -> bool:
    """Return whether a folder holds an adapter."""
    return False


def open_adapters(folder: Path) -> TensorSource:
    """Open an adapter."""
    raise NotImplementedError
