"""Every matrix of two checkpoints: how far it moved, how low its rank, which structure holds it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from operator import index
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, SupportsIndex

from lolora_core.blocks.grid import Grid, GridLike
from lolora_core.checkpoints.align import left_out, open_pair
from lolora_core.checkpoints.columns import COLUMN_HELP
from lolora_core.checkpoints.matrix_row import SurveySettings, survey_row
from lolora_core.checkpoints.pairs import natural, pair_names, part_of, tied
from lolora_core.checkpoints.parallel import NamedProgress, run_jobs
from lolora_core.checkpoints.pooled import pair_curve
from lolora_core.checkpoints.rows import Row, RowFile, rows_path
from lolora_core.checkpoints.sources import SourceLike
from lolora_core.checkpoints.survey_notes import survey_notes
from lolora_core.common.checks import check_budget
from lolora_core.families import FAMILIES, REFERENCE, resolve_family
from lolora_core.files.tensors import TensorSource
from lolora_core.files.writes import whole_file

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Survey", "survey", "survey_so_far"]

# Columns that may be empty, in every row too, and then have no type of their own.
_COUNTS = ("layer", "best_parameters", "dead_ranks", "intruders", "intruders_random")
_FLOATS = ("base_norm", "relative_update", "rounding_share", "best_error", "gain")


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
        """Return one row for each matrix; `COLUMN_HELP` says what each column is.

        - name, layer, kind, rows, cols, dtype, parameters
        - base_norm, update_norm, relative_update, rounding_only, rounding_share
        - effective_rank, stable_rank, first_singular_share, dead_ranks, intruders,
          intruders_random, energy_1 … energy_64
        - budget, equivalent_rank, error_global, error_FAMILY_RxC, best_family, best_grid,
          best_parameters, best_error, gain

        What is empty is NaN or NA, and None for best_family and best_grid. Counts that may be
        empty are Int64.
        """
        import pandas as pd  # slow to load

        frame = pd.DataFrame(list(self.rows)).drop(columns=["run", "curve"], errors="ignore")
        floats = [c for c in map(str, frame) if c.startswith("error_") or c in _FLOATS]
        return frame.astype(dict.fromkeys(_COUNTS, "Int64") | dict.fromkeys(floats, "float64"))

    def curve(self) -> pd.DataFrame:
        """Return the relative error of all matrices together at every equivalent rank r.

        One row a rank: `rank`, and for each structure √(Σ‖ΔW − ΔŴ‖²/Σ‖ΔW‖²) with r·(m + n)
        parameters for each m×n matrix, in the column that `frame` has for it. Every r up to 128,
        then steps of 5 %, and the last where the matrices themselves cost as much. A matrix that
        the grid does not fit is held by `global`. It takes ``survey(..., curve=True)``.

        Raises
        ------
        ValueError
            The survey kept no curves.

        Examples
        --------
        >>> import torch
        >>> held = {"a.weight": torch.zeros(4, 4)}
        >>> found = survey(held, {"a.weight": torch.eye(4)}, grids=[4], n_jobs=1, curve=True)
        >>> found.curve()[["rank", "error_global", "error_diagonal_4x4"]].round(3).values.tolist()
        [[1.0, 0.866, 0.0], [2.0, 0.707, 0.0]]
        """
        if not all("curve" in row for row in self.rows):
            raise ValueError(
                "this survey kept no curves; ask for them with survey(..., curve=True)"
            )
        return pair_curve(self.rows)


def _check(
    families: Sequence[str] | None,
    grids: Sequence[GridLike],
    rank: SupportsIndex | None,
    budget: SupportsIndex | None,
    intruders: SupportsIndex,
    curve: bool,
) -> SurveySettings:
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
    return SurveySettings(
        names,
        tuple(dict.fromkeys(found)),
        None if rank is None else check_budget(rank),
        None if budget is None else check_budget(budget),
        _check_intruders(intruders),
        curve,
    )


def _check_intruders(intruders: SupportsIndex) -> int:
    try:
        count = index(intruders)
    except TypeError:
        raise TypeError(f"intruders must be an integer; it is {intruders!r}") from None
    if count < 0:
        raise ValueError(f"intruders must be 0 (they are not counted) or more; it is {count}")
    return count


def _run_id(base: TensorSource | None, tuned: TensorSource, settings: SurveySettings) -> str:
    # Rows of a version with other columns do not go with these.
    inputs = [base.identity if base else None, tuned.identity, repr(settings), [*COLUMN_HELP]]
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:16]


def survey(
    base: SourceLike | None,
    tuned: SourceLike,
    *,
    rank: SupportsIndex | None = None,
    budget: SupportsIndex | None = None,
    grids: Sequence[GridLike] = (8,),
    families: Sequence[str] | None = None,
    intruders: SupportsIndex = 0,
    curve: bool = False,
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
    intruders : int
        Of how many leading directions of each tuned matrix intruders are counted, 10 in the
        paper; see `count_intruders`. It takes a full SVD of each matrix of the base, which must be
        given; 0 counts none.
    curve : bool
        Keep the errors at every rank too, for `Survey.curve`.
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
    settings = _check(families, grids, rank, budget, intruders, curve)
    work = _opened(base, tuned, settings, output)
    first, second, names, rows = work.base, work.tuned, work.names, work.rows
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
                work.skipped[name] = row
            else:
                if work.file:
                    work.file.append(row)
                rows[name] = row
    found = work.found(complete=answered == len(names))
    file = work.file
    if output is not None and file is not None and found.complete and file.path != Path(output):
        with whole_file(Path(output)) as draft:
            found.frame().to_csv(draft, index=False)
    return found


def survey_so_far(
    base: SourceLike | None,
    tuned: SourceLike,
    *,
    output: str | PathLike[str],
    rank: SupportsIndex | None = None,
    budget: SupportsIndex | None = None,
    grids: Sequence[GridLike] = (8,),
    families: Sequence[str] | None = None,
    intruders: SupportsIndex = 0,
    curve: bool = False,
) -> Survey:
    """Return what a `survey` that was stopped, or killed, wrote to its `output`; nothing is new.

    The parameters are those of `survey`.
    """
    settings = _check(families, grids, rank, budget, intruders, curve)
    work = _opened(base, tuned, settings, output)
    return work.found(complete=len(work.rows) == len(work.names))


@dataclass(eq=False)
class _Work:
    """What a survey goes through, and what it has."""

    base: TensorSource | None
    tuned: TensorSource
    settings: SurveySettings
    names: Sequence[str]
    skipped: dict[str, str]
    file: RowFile | None
    rows: dict[str, Row]

    def found(self, *, complete: bool) -> Survey:
        rows, skipped, first, second = dict(self.rows), dict(self.skipped), self.base, self.tuned
        marks = {
            name: (row["rows"], row["cols"], row["base_norm"], row["update_norm"])
            for name, row in rows.items()
        }
        twins = {} if first is None or second.is_update else tied(first, second, marks)
        for name, twin in twins.items():
            del rows[name]
            skipped[name] = f"tied to {twin}: the same values in both checkpoints"
        kept = tuple(rows[name] for name in sorted(rows, key=natural))
        notes = (
            *(first.notes if first else ()),
            *second.notes,
            *survey_notes(first, second, self.settings, kept),
        )
        return Survey(kept, dict(sorted(skipped.items())), notes, complete)


def _opened(
    base: SourceLike | None,
    tuned: SourceLike,
    settings: SurveySettings,
    output: str | PathLike[str] | None,
) -> _Work:
    first, second = open_pair(base, tuned)
    names, skipped = pair_names(first, second)
    skipped |= left_out(second)
    file = None if output is None else _row_file(Path(output), _run_id(first, second, settings))
    rows = {str(row["name"]): row for row in file.rows} if file else {}
    return _Work(first, second, settings, names, skipped, file, rows)


def _row_file(output: Path, run: str) -> RowFile:
    rows = rows_path(output)
    if output.exists() and not rows.exists():
        raise ValueError(
            f"{output} is there, and {rows.name}, the rows it would go on from, is not; name "
            "another file, or remove it"
        )
    return RowFile(rows, run)
