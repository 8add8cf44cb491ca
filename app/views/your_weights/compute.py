"""What Your weights computes, cached by content as in `app.shared.scene`: survey, adapters."""

from __future__ import annotations

import atexit
import hashlib
import shutil
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from cachetools import LRUCache
from cachetools.keys import hashkey

from app.shared.caches import Kind
from app.shared.pool import Progress, call, kept_call, unseen
from app.shared.worker import Report
from app.views.your_weights.pairs import Pair
from app.views.your_weights.plan import AdapterPlan
from lolora_core import FAMILIES
from lolora_core.checkpoints import (
    Extraction,
    PeftChoice,
    Survey,
    TensorSource,
    extract_adapters,
    peft_choices,
    survey,
)
from lolora_core.checkpoints.single import DTYPES
from lolora_core.checkpoints.survey import survey_so_far

__all__ = [
    "Kept",
    "changed",
    "extracted",
    "extraction_seconds",
    "partial",
    "survey_seconds",
    "surveyed",
]

Blocks = tuple[int, int]

_STOPPED_KEPT = 16

_surveys: LRUCache[object, Survey] = LRUCache(64)
_lock = threading.Lock()
# In each process one survey or extraction at a time: each uses all cores.
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

    def __init__(self, work: Mapping[str, float], report: Report) -> None:
        self.total, self.left, self.report = sum(work.values()) or 1.0, dict(work), report
        self.stop: BaseException | None = None

    def __call__(self, done: int, total: int, name: str) -> bool:
        self.left.pop(name, None)
        share = 1 - sum(self.left.values()) / self.total
        try:
            self.report(min(max(share, 0.0), 1.0), f"{done} of {total} matrices")
        except BaseException as stop:
            # Streamlit's stop is no Exception; it is raised again when the rows are kept.
            self.stop = stop
            return False
        return True


def _survey(
    pair: tuple[TensorSource, TensorSource],
    settings: Mapping[str, Any],
    work: Mapping[str, float],
    file: Path,
    report: Report,
) -> tuple[Survey, float]:
    """Survey a pair, as a process of the pool does; return how many seconds it took, too."""
    heard = _Heard(work, report)
    # A worker of a cluster has another disk.
    output = file if file.parent.is_dir() else None
    with _turn:
        started = time.perf_counter()
        found = survey(*pair, output=output, progress=heard, **settings)
        if heard.stop is not None:
            raise heard.stop
        return found, time.perf_counter() - started


def survey_seconds(pair: Pair, rank: int, blocks: Blocks, intruders: int) -> float:
    """Return about how long `surveyed` will take."""
    known = partial(pair, rank, blocks, intruders)
    done = {str(row["name"]) for row in known.rows} if known else set()
    left = sum(work for name, work in pair.work.items() if name not in done)
    # Intruders take full decompositions of base and tuned.
    return left * _seconds_per_product[0] * (10.0 if intruders else 1.0)


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
    found = partial(pair, rank, blocks, intruders)
    if found is not None and found.complete:
        return found
    file, both = _rows_file(key), (pair.base, pair.tuned)
    settings: dict[str, Any] = {
        "rank": rank,
        "grids": [blocks],
        "intruders": intruders,
        "curve": True,
    }
    left = dict(pair.work)
    for row in found.rows if found else ():
        left.pop(str(row["name"]), None)
    try:
        found, seconds = call(
            _survey,
            both,
            settings,
            left,
            file,
            key=("survey", key),
            progress=progress or unseen,
            reports=True,
        )
    except BaseException:
        with suppress(ValueError, OSError):
            found = survey_so_far(*both, output=file, **settings)
            with _lock:
                # Meanwhile another visitor's may have come to its end.
                if not (held := _surveys.get(key)) or not held.complete:
                    _surveys[key] = found
        raise
    with _lock:
        _surveys[key] = found
    file.unlink(missing_ok=True)
    work = sum(left.values())
    if work > 10**8 and not intruders:
        _seconds_per_product[0] = seconds / work
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


def _extract(
    pair: tuple[TensorSource, TensorSource],
    plan: AdapterPlan,
    work: Mapping[str, float],
    report: Report,
) -> Kept:
    """Extract an adapter, as a process of the pool does."""
    heard = _Heard(work, report)

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
            *pair, family=plan.family, grid=plan.blocks, dtype=dtype, progress=hear, **goal
        )
        choices = peft_choices(found.adapters, rank=plan.rank, dtype=dtype)
    exact = next(choice for choice in choices if choice.exact)
    loras = [choice for choice in choices if choice.kind == "lora"]
    own_bytes = found.adapters.num_parameters * dtype.itemsize
    return Kept(found, exact, loras[-1], own_bytes)


@_kept.cached(_kept_key)
def _extracted(pair: Pair, plan: AdapterPlan, progress: Progress) -> Kept:
    return _extract((pair.base, pair.tuned), plan, pair.work, progress)


def extracted(pair: Pair, plan: AdapterPlan, progress: Progress = unseen) -> Kept:
    """Extract the adapter of a plan, and size every way to write it.

    Raises
    ------
    OSError, ValueError
        A source cannot be read, the family cannot reach the energy, or no matrix gets a rank.
    """
    asked = (pair, plan, progress)
    both = (pair.base, pair.tuned)
    return kept_call(
        _extracted, asked, _extract, both, plan, pair.work, progress=progress, reports=True
    )
