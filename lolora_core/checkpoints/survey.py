"""Every matrix of two checkpoints: how far it moved, how low its rank, which structure holds it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, SupportsIndex

import numpy as np

from lolora_core.blocks.grid import Grid, GridLike, budget_for_rank
from lolora_core.checkpoints.pairs import (
    layer_and_kind,
    natural,
    pair_names,
    part_of,
    read_update,
    tied,
)
from lolora_core.checkpoints.parallel import NamedProgress, run_jobs
from lolora_core.checkpoints.rows import Row, RowFile, rows_path
from lolora_core.checkpoints.sources import SourceLike, open_source
from lolora_core.common.checks import check_budget
from lolora_core.common.metrics import effective_rank
from lolora_core.common.threads import one_thread
from lolora_core.explore.sweep import sweep
from lolora_core.families import FAMILIES, REFERENCE, resolve_family
from lolora_core.files.tensors import TensorSource
from lolora_core.files.writes import whole_file

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ENERGY_RANKS", "Survey", "error_columns", "survey"]

#: Ranks at which the share of the energy in the leading singular values is stated.
ENERGY_RANKS = (1, 2, 4, 8, 16, 32, 64)

#: A median ‖ΔW‖/‖W‖ above this is no fine-tune: two unrelated matrices of one norm have √2.
UNRELATED = 1.0


@dataclass(frozen=True)
class _Settings:
    families: tuple[str, ...]
    grids: tuple[tuple[int, int], ...]
    rank: int | None
    budget: int | None

    def budget_of(self, shape: tuple[int, int]) -> int:
        return budget_for_rank(shape, self.rank) if self.rank is not None else self.budget or 0


def error_columns(frame: pd.DataFrame) -> dict[str, str]:
    """Return the columns that hold errors, each with its family.

    Examples
    --------
    >>> import pandas as pd
    >>> error_columns(pd.DataFrame(columns=["name", "error_global", "error_adaptive_8x8"]))
    {'error_global': 'global', 'error_adaptive_8x8': 'adaptive'}
    """
    starts = {f"error_{name}": name for name in FAMILIES}
    return {
        column: name
        for column in map(str, frame)
        for start, name in starts.items()
        if column == start or column.startswith(f"{start}_")
    }


@dataclass(frozen=True, eq=False)
class Survey:
    """What `survey` found.

    Attributes
    ----------
    rows : tuple of dict
        One for each matrix, in natural order of the names.
    skipped : dict of str to str
        Every tensor that has no row, with the reason.
    notes : tuple of str
        What a reader should know before believing the numbers.
    complete : bool
        False where `progress` stopped the survey.
    """

    rows: tuple[Row, ...]
    skipped: dict[str, str]
    notes: tuple[str, ...]
    complete: bool

    def frame(self) -> pd.DataFrame:
        """Return one row for each matrix.

        - name, layer, kind, rows, cols, dtype: `layer` is the first number in the name, NA without
          one; `dtype` is that of tuned; `parameters` is m·n.
        - base_norm, update_norm, relative_update: ‖W‖_F, ‖ΔW‖_F and their ratio; without a base
          the first and last are NaN.
        - effective_rank: see `metrics.effective_rank`.
        - energy_1 … energy_64: share of ‖ΔW‖²_F in that many leading singular values.
        - budget, equivalent_rank: trainable parameters allowed, and these over m + n.
        - error_global, error_FAMILY_RxC: relative error at the budget on that grid; NaN where the
          grid does not fit the matrix.
        - best_family, best_grid, best_parameters, best_error: the structure with the lowest
          error; None for a matrix that did not change.
        - gain: 1 − best_error/error_global, the share of LoRA's error that it saves, 0 to 1.
        """
        import pandas as pd  # slow to load

        frame = pd.DataFrame(list(self.rows)).drop(columns="run", errors="ignore")
        floats = [
            c for c in map(str, frame) if c.startswith(("error_", "base_norm", "relative_update"))
        ]
        more = {c: "float64" for c in (*floats, "best_error", "gain") if c in frame}
        return frame.astype({"layer": "Int64", "best_parameters": "Int64", **more})


def _check(
    families: Sequence[str] | None,
    grids: Sequence[GridLike],
    rank: SupportsIndex | None,
    budget: SupportsIndex | None,
) -> _Settings:
    if rank is not None and budget is not None:
        raise ValueError(f"give rank or budget, not both; they are {rank!r} and {budget!r}")
    if rank is None and budget is None:
        rank = 16
    chosen = [resolve_family(name) for name in families] if families else list(FAMILIES.values())
    if refused := [f.name for f in chosen if families and not f.from_spectra]:
        raise ValueError(
            f"families may not hold {refused[0]!r}: it is fitted to each matrix, and a survey "
            "reads singular values only"
        )
    spectral = [f.name for f in chosen if f.from_spectra]
    found = []
    for grid in grids:
        if isinstance(grid, Grid):
            raise ValueError("grids of a survey are K or (K_r, K_c), for matrices of any shape")
        # The most blocks that a matrix of this size could have.
        found.append(Grid.resolve(grid, (2**16, 2**16)).blocks)
    if not found:
        raise ValueError("grids must hold at least one grid; it is empty")
    names = tuple(dict.fromkeys([REFERENCE.name, *spectral]))
    return _Settings(
        names,
        tuple(dict.fromkeys(found)),
        None if rank is None else check_budget(rank),
        None if budget is None else check_budget(budget),
    )


def survey_row(
    base: TensorSource | None, tuned: TensorSource, name: str, settings: _Settings
) -> tuple[str, Row | str]:
    """Return the row of one matrix, or why there is none."""
    with one_thread():
        try:
            update, moved, norm = read_update(base, tuned, name)
        except ValueError as error:
            if "must be finite" not in str(error):
                raise
            return name, str(error)
        m, n = update.shape
        fit = [g for g in settings.grids if g[0] <= m and g[1] <= n] or [(1, 1)]
        budget = settings.budget_of((m, n))
        found = sweep(update, fit, settings.families, [budget])
        layer, kind = layer_and_kind(name)
        whole = found.curves[REFERENCE.name, fit[0]].spectra
        tails, total = whole.tails[0, 0], whole.total
        row: Row = {
            "name": name,
            "layer": layer,
            "kind": kind,
            "rows": m,
            "cols": n,
            "dtype": tuned.tensors[name].dtype,
            "parameters": m * n,
            "base_norm": norm,
            "update_norm": moved,
            "relative_update": moved / norm if norm else float("nan"),
            "effective_rank": effective_rank(whole.values),
        }
        for rank in ENERGY_RANKS:
            left = float(tails[min(rank, len(tails) - 1)])
            row[f"energy_{rank}"] = 1 - left / total if total else 1.0
        row |= {"budget": budget, "equivalent_rank": budget / (m + n)}
        for family in settings.families:
            whole_only = resolve_family(family).spans_whole
            for grid in settings.grids[:1] if whole_only else settings.grids:
                key = (family, fit[0] if whole_only else grid)
                label = family if whole_only else f"{family}_{grid[0]}x{grid[1]}"
                at = found.errors.get(key)
                row[f"error_{label}"] = float("nan") if at is None else float(at[0])
        best = found.best(budget) if moved else None
        on = (1, 1) if best and resolve_family(best.family).spans_whole else best and best[1:3]
        lora = float(found.errors[REFERENCE.name, fit[0]][0])
        row |= {
            "best_family": best.family if best else None,
            "best_grid": f"{on[0]}x{on[1]}" if on else None,
            "best_parameters": best.num_parameters if best else None,
            "best_error": best.relative_error if best else None,
            "gain": None if best is None else 1 - best.relative_error / lora if lora else 0.0,
        }
        return name, row


def _run_id(base: TensorSource | None, tuned: TensorSource, settings: _Settings) -> str:
    inputs = [base.identity if base else None, tuned.identity, repr(settings)]
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:16]


def survey(
    base: SourceLike | None,
    tuned: SourceLike,
    *,
    rank: SupportsIndex | None = None,
    budget: SupportsIndex | None = None,
    grids: Sequence[GridLike] = (8,),
    families: Sequence[str] | None = None,
    output: str | PathLike[str] | None = None,
    n_jobs: int = -1,
    progress: NamedProgress | None = None,
) -> Survey:
    """Measure the update ΔW = W_tuned − W_base of every matrix that two checkpoints share.

    Pairs of tensors are read one at a time in each job, so memory is bounded by the largest few.
    Errors are read from singular values (see `sweep`). Jobs are joblib's: threads by default, and
    whatever ``joblib.parallel_config`` sets, dask too; the results are the same bits.

    Parameters
    ----------
    base : source or None
        See `open_source`; None where `tuned` holds updates already.
    tuned : source
        A checkpoint of the same model, or an adapter.
    rank : int, optional
        Equivalent rank of the budget of each matrix, r·(m + n); 16 unless a budget is given.
    budget : int, optional
        Trainable parameters for each matrix.
    grids : sequence of int or (int, int)
    families : sequence of str, optional
        By default all that are read from singular values; `global` is always among them.
    output : path, optional
        ``.jsonl``: each row is added as it is found, and a survey that was stopped goes on from
        it. ``.csv``: the rows are kept so in ``.csv.jsonl`` beside it, and the frame is written
        when the survey is complete.
    n_jobs : int
        Matrices at a time; -1 is one for each core.
    progress : callable, optional
        ``progress(done, total, name)`` after each matrix; where it returns False, the survey stops.

    Returns
    -------
    Survey

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        A source that is not there or damaged, one that changes while it is read, checkpoints of
        different models, an output file of another survey, settings that are not allowed.

    Examples
    --------
    >>> import torch
    >>> before = {"layer.0.fc.weight": torch.eye(4), "layer.0.fc.bias": torch.zeros(4)}
    >>> after = {"layer.0.fc.weight": torch.eye(4) + 1, "layer.0.fc.bias": torch.ones(4)}
    >>> found = survey(before, after, rank=1, grids=[2], n_jobs=1)
    >>> found.frame()[["name", "layer", "best_family", "best_parameters"]]
                    name  layer best_family  best_parameters
    0  layer.0.fc.weight      0      global                8
    >>> found.skipped
    {'layer.0.fc.bias': 'it has 1 axis, and a matrix needs 2'}
    """
    first = None if base is None else open_source(base, needs="weights")
    second = open_source(tuned, needs="update" if base is None else "any")
    settings = _check(families, grids, rank, budget)
    names, skipped = pair_names(first, second)
    file = None if output is None else _row_file(Path(output), _run_id(first, second, settings))
    rows: dict[str, Row] = {str(row["name"]): row for row in file.rows} if file else {}
    todo = [name for name in names if name not in rows]
    calls = (
        (
            survey_row,
            None if first is None else part_of(first, name),
            part_of(second, name),
            name,
            settings,
        )
        for name in todo
    )
    before = len(names) - len(todo)
    answered = before
    with closing(run_jobs(calls, len(names), n_jobs, progress, before)) as answers:
        for name, row in answers:
            answered += 1
            if isinstance(row, str):
                skipped[name] = row
            else:
                if file:
                    file.append(row)
                rows[name] = row
    complete = answered == len(names)
    marks = {
        name: (row["rows"], row["cols"], row["base_norm"], row["update_norm"])
        for name, row in rows.items()
    }
    twins = {} if first is None or second.is_update else tied(first, second, marks)
    for name, twin in twins.items():
        del rows[name]
        skipped[name] = f"tied to {twin}: the same values in both checkpoints"
    kept = tuple(rows[name] for name in sorted(rows, key=natural))
    found = Survey(kept, dict(sorted(skipped.items())), _notes(kept), complete)
    if output is not None and file is not None and complete and file.path != Path(output):
        with whole_file(Path(output)) as draft:
            found.frame().to_csv(draft, index=False)
    return found


def _row_file(output: Path, run: str) -> RowFile:
    rows = rows_path(output)
    if output.exists() and not rows.exists():
        raise ValueError(
            f"{output} is there, and {rows.name}, the rows it would go on from, is not; name "
            "another file, or remove it"
        )
    return RowFile(rows, run)


def _notes(rows: Sequence[Row]) -> tuple[str, ...]:
    ratios = [float(row["relative_update"] or np.nan) for row in rows]
    known = [ratio for ratio in ratios if not np.isnan(ratio)]
    notes = []
    if known and np.median(known) > UNRELATED:
        notes.append(
            f"the median ‖ΔW‖/‖W‖ is {np.median(known):.3g}: tuned is probably not a fine-tune of "
            "base"
        )
    if rows and not any(row["update_norm"] for row in rows):
        notes.append("no matrix has changed: base and tuned hold the same values")
    return tuple(notes)
