"""What Your weights computes, cached by content as in `app.shared.scene`: survey, adapters."""

from __future__ import annotations

import atexit
import hashlib
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from cachetools import LRUCache
from cachetools.keys import hashkey

from app.shared.caches import Kind
from app.views.your_weights.pairs import Pair
from app.views.your_weights.plan import AdapterPlan
from lolora_core import FAMILIES
from lolora_core.checkpoints import (
    Extraction,
    PeftChoice,
    Survey,
    extract_adapters,
    peft_choices,
    survey,
)
from lolora_core.checkpoints.single import DTYPES

__all__ = [
    "Kept",
    "changed",
    "extracted",
    "extraction_seconds",
    "partial",
    "surveyed",
]

Progress = Callable[[float, str], None]
Blocks = tuple[int, int]

_STOPPED_KEPT = 16

_surveys: LRUCache[object, Survey] = LRUCache(64)
_lock = threading.Lock()
# One survey or extraction at a time: each uses all cores, and a second would write the same rows.
_turn = threading.Lock()
_seconds_per_product = [2e-9]


@cache
def _folder() -> Path:
    made = Path(tempfile.mkdtemp(prefix="lolora-survey-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def _rows_file(key: object) -> Path:
    """Return where a survey keeps its rows until it is complete; of stopped ones the newest."""
    kept = sorted(_folder().glob("*.jsonl"), key=lambda path: path.stat().st_mtime)
    for path in kept[:-_STOPPED_KEPT]:
        path.unlink()
    return _folder() / f"{hashlib.sha256(repr(key).encode()).hexdigest()[:32]}.jsonl"


def _survey_key(pair: Pair, rank: int, blocks: Blocks, intruders: int) -> object:
    return hashkey(pair.key, rank, blocks, intruders)


def partial(pair: Pair, rank: int, blocks: Blocks, intruders: int = 0) -> Survey | None:
    """Return what is known already of a survey: all of it, what a stop left, or nothing."""
    with _lock:
        return _surveys.get(_survey_key(pair, rank, blocks, intruders))


class _Heard:
    """Turns matrices done into a share of the work, and keeps what a stop raises for later."""

    def __init__(self, pair: Pair, progress: Progress | None) -> None:
        self.work, self.progress = pair.work, progress
        self.left = dict(self.work)
        self.stop: BaseException | None = None

    def __call__(self, done: int, total: int, name: str) -> bool:
        self.left.pop(name, None)
        if self.progress is not None:
            share = 1 - sum(self.left.values()) / (sum(self.work.values()) or 1.0)
            try:
                self.progress(min(max(share, 0.0), 1.0), f"{done} of {total} matrices")
            except BaseException as stop:
                # Streamlit's stop is no Exception; it is raised again when the rows are kept.
                self.stop = stop
                return False
        return True


def surveyed(
    pair: Pair,
    rank: int,
    blocks: Blocks,
    progress: Progress | None = None,
    *,
    intruders: int = 0,
) -> Survey:
    """Survey every matrix of a pair at an equivalent rank on one grid.

    Parameters
    ----------
    pair : Pair
    rank : int
        Equivalent rank of the budget of each matrix.
    blocks : (int, int)
        K_r and K_c of the grid.
    progress : callable, optional
        ``progress(share, words)`` after each matrix; where it raises, the rows so far are kept
        for `partial` and the next call goes on from them.
    intruders : int
        Leading directions of each tuned matrix that are held against the base's; 0 for none.

    Raises
    ------
    OSError, ValueError
        A source cannot be read.
    """
    key = _survey_key(pair, rank, blocks, intruders)
    with _turn:
        found = partial(pair, rank, blocks, intruders)
        if found is not None and found.complete:
            return found
        file, heard = _rows_file(key), _Heard(pair, progress)
        for row in found.rows if found else ():
            heard.left.pop(str(row["name"]), None)
        started = time.perf_counter()
        found = survey(
            pair.base,
            pair.tuned,
            rank=rank,
            grids=[blocks],
            intruders=intruders,
            curve=True,
            output=file,
            progress=heard,
        )
        with _lock:
            _surveys[key] = found
        if found.complete:
            file.unlink(missing_ok=True)
            work = sum(pair.work.values())
            if work > 10**8 and not intruders:
                _seconds_per_product[0] = (time.perf_counter() - started) / work
    if heard.stop is not None:
        raise heard.stop
    return found


def changed(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of matrices with a ΔW other than 0, the largest ‖ΔW‖ first."""
    moved = frame[frame["update_norm"] > 0]
    return moved.sort_values("update_norm", ascending=False, kind="stable")


@dataclass(frozen=True, eq=False)
class Kept:
    """An extraction and the ways to write it for PEFT: exact, and truncated to the rank."""

    extraction: Extraction
    exact: PeftChoice
    truncated: PeftChoice
    own_bytes: int

    @property
    def nbytes(self) -> int:
        """Memory, about."""
        return 2 * self.own_bytes + self.exact.nbytes + self.truncated.nbytes


def extraction_seconds(pair: Pair, plan: AdapterPlan) -> float:
    """Return about how long `extracted` will take; 0 if it is held."""
    if hashkey(pair.key, plan.key) in _kept:
        return 0.0
    family = FAMILIES[plan.family]
    # An exact LoRA of blocks needs a decomposition in float64; some families search.
    times = 1.0 if family.spans_whole else 6.0 if family.from_spectra else 20.0
    return sum(pair.work.values()) * _seconds_per_product[0] * times


_kept = Kind[Kept]("adapters")


def _kept_key(pair: Pair, plan: AdapterPlan, *progress: Progress | None) -> object:
    return hashkey(pair.key, plan.key)


@_kept.cached(_kept_key)
def extracted(pair: Pair, plan: AdapterPlan, progress: Progress | None = None) -> Kept:
    """Extract the adapter of a plan, and size every way to write it.

    Raises
    ------
    OSError, ValueError
        A source cannot be read, the family cannot reach the energy, or no matrix gets a rank.
    """
    heard = _Heard(pair, progress)

    def hear(done: int, total: int, name: str) -> None:
        if not heard(done, total, name) and heard.stop is not None:
            raise heard.stop

    goal: dict[str, Any] = (
        {"energy": plan.energy}
        if plan.spend == "energy"
        else {"rank": plan.rank, "shared": plan.spend == "shared"}
    )
    dtype = DTYPES[plan.dtype]
    with _turn:
        found = extract_adapters(
            pair.base,
            pair.tuned,
            family=plan.family,
            grid=plan.blocks,
            dtype=dtype,
            progress=hear,
            **goal,
        )
        choices = peft_choices(found.adapters, rank=plan.rank, dtype=dtype)
    exact = next(choice for choice in choices if choice.exact)
    loras = [choice for choice in choices if choice.kind == "lora"]
    own_bytes = found.adapters.num_parameters * dtype.itemsize
    return Kept(found, exact, loras[-1], own_bytes)
