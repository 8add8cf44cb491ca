"""The rows of the scoreboard, a target at a time, kept for all visitors."""

from __future__ import annotations

import threading

import pandas as pd
from cachetools import LRUCache, cached
from cachetools.keys import hashkey

from app.shared.pool import Progress, kept_call, part
from app.shared.scene import bundled_target
from app.views.scoreboard.scored import scored
from lolora_core.families import ranked_families
from lolora_core.targets import Entry, catalogue

__all__ = ["board", "entries", "finished"]

#: More than the catalogue holds; the rows of one target take about 20 kB.
_held: LRUCache[object, pd.DataFrame] = LRUCache(256)


def _key(entry: Entry) -> object:
    return hashkey(entry.id, *ranked_families())


@cached(_held, key=_key, condition=threading.Condition())
def _rows(entry: Entry) -> pd.DataFrame:
    return scored(bundled_target(entry.id, False, ()))


def entries() -> tuple[Entry, ...]:
    """Return what the scoreboard is made of."""
    return catalogue()


def finished() -> tuple[Entry, ...]:
    """Return the entries whose rows are held."""
    return tuple(entry for entry in entries() if _key(entry) in _held)


def _work(entry: Entry) -> float:
    m, n = bundled_target(entry.id, False, ()).shape
    return float(m * n * min(m, n))


def board(asked: tuple[Entry, ...], progress: Progress | None = None) -> pd.DataFrame:
    """Return the rows of some targets, joined; what is not held yet is computed.

    Parameters
    ----------
    asked : tuple of Entry
    progress : callable, optional
        Called before and during each target that is not held, with the share of the work that is
        done and the target's title; it may raise.
    """
    if progress is not None:
        missing = [entry for entry in asked if _key(entry) not in _held]
        work = [_work(entry) for entry in missing]
        for at, entry in enumerate(missing):
            shares = (sum(work[:at]) / sum(work), sum(work[: at + 1]) / sum(work))
            shown = part(progress, *shares, entry.title)
            shown(0.0, "")
            target = bundled_target(entry.id, False, ())
            kept_call(_rows, (entry,), scored, target, progress=shown)
    return pd.concat([_rows(entry) for entry in asked], ignore_index=True)
