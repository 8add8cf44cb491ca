"""What the first race would wait for, begun before it."""

from __future__ import annotations

import importlib
import threading
from functools import cache

import torch

__all__ = ["warm_up"]


@cache
def warm_up() -> None:
    """Begin to import, in the background and once, what the first race would wait seconds for."""

    def imports() -> None:
        importlib.import_module("sklearn.datasets")
        torch.optim.AdamW([torch.zeros(1, requires_grad=True)])

    threading.Thread(target=imports, name="warm-up", daemon=True).start()
