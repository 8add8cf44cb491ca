"""What the first race would wait for, begun before it."""

from __future__ import annotations

import importlib
import threading
from functools import cache

import torch

from app.shared.pool import processes

__all__ = ["warm_up"]


@cache
def warm_up() -> None:
    """Begin to import, in the background and once, what the first race would wait seconds for."""

    def both() -> None:
        processes().warm(_load)
        _load()

    threading.Thread(target=both, name="warm-up", daemon=True).start()


def _load() -> None:
    importlib.import_module("app.views.fine_tune.trainer")
    importlib.import_module("sklearn.datasets")
    torch.optim.AdamW([torch.zeros(1, requires_grad=True)])
