"""Adapters out of two checkpoints: the best of a family for each ΔW, or for all of them at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
import torch

from lolora_core.adapters.config import AdapterConfig
from lolora_core.adapters.kinds import matrix_shape
from lolora_core.adapters.layer import BlockFactors
from lolora_core.adapters.layout import BlockLayout
from lolora_core.adapters.peft_experts import is_expert
from lolora_core.adapters.sets import AdapterSet
from lolora_core.adapters.stored import LINEAR, Stored
from lolora_core.blocks.grid import Grid
from lolora_core.checkpoints.align import (
    carried_settings,
    left_out,
    open_pair,
    spelling_of,
)
from lolora_core.checkpoints.pairs import change_of, pair_names, part_of, tied
from lolora_core.checkpoints.parallel import NamedProgress, run_jobs
from lolora_core.checkpoints.pool import pooled_ranks
from lolora_core.checkpoints.single import (
    DTYPES,
    Found,
    Goal,
    GridSize,
    check_goal,
    extract_one,
    grid_of,
    steps_one,
)
from lolora_core.checkpoints.sources import SourceLike
from lolora_core.checkpoints.targeted import targeted_modules
from lolora_core.families import resolve_family
from lolora_core.families.base import Steps
from lolora_core.files.tensors import TensorSource

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DTYPES", "Extraction", "extract_adapters", "resize_adapters"]


@dataclass(frozen=True, eq=False)
class Extraction:
    """What `extract_adapters` found.

    Attributes
    ----------
    adapters : AdapterSet
        With scaling 1: alpha is the rank.
    rows : tuple of dict
        For each module: name, kind (see `Stored`), rows, cols, num_parameters, rank (the largest
        of a block), global_rank, update_norm, relative_error, measured on the factors as stored,
        and rounding_only, whether ΔW is no more than what another dtype rounds away.
    skipped : dict of str to str
        Every tensor without an adapter, with the reason.
    changes : dict of str to float
        ‖tuned − base‖ of each of them that stands in both with one shape; NaN where one is not
        finite.
    notes : tuple of str
        What a reader should know before believing the numbers.
    base_config : mapping
        The base's config.json, with which PEFT can judge what is written for it.
    """

    adapters: AdapterSet
    rows: tuple[dict[str, Any], ...]
    skipped: dict[str, str]
    changes: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    base_config: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def relative_error(self) -> float:
        """√(Σ‖ΔW − ΔŴ‖²/Σ‖ΔW‖²) over all modules with an adapter."""
        left, total = self._energies()
        return math.sqrt(left / total) if total else 0.0

    @property
    def whole_relative_error(self) -> float:
        """The same over the whole tuned model: what has no adapter keeps the base's values.

        NaN where a tensor without an adapter is not finite.
        """
        left, total = self._energies()
        rest = sum(change**2 for change in self.changes.values())
        return math.sqrt((left + rest) / (total + rest)) if total + rest else 0.0

    def _energies(self) -> tuple[float, float]:
        total = sum(row["update_norm"] ** 2 for row in self.rows)
        left = sum((row["relative_error"] * row["update_norm"]) ** 2 for row in self.rows)
        return left, total

    def frame(self) -> pd.DataFrame:
        """Return the rows."""
        import pandas as pd

        return pd.DataFrame(list(self.rows))

    def save(self, folder: str | PathLike[str]) -> None:
        """Write a folder for `load_adapters`."""
        self.adapters.save(folder)


def extract_adapters(
    base: SourceLike | None,
    tuned: SourceLike,
    *,
    family: str,
    budget: SupportsIndex | None = None,
    rank: SupportsIndex | None = None,
    energy: float | None = None,
    error: float | None = None,
    shared: bool = False,
    grid: GridSize = 8,
    target_modules: str | Iterable[str] = "all-linear",
    exclude_modules: str | Iterable[str] = (),
    dtype: torch.dtype = torch.float32,
    n_jobs: int = -1,
    progress: NamedProgress | None = None,
) -> Extraction:
    """Return the best adapters of a family for the updates ΔW = W_tuned − W_base.

    Each ΔW is truncated block by block (Eckart–Young). Where ranks are known beforehand and
    small, the decomposition is sketched (arXiv 0909.4061), which is within a percent of the
    optimal error; errors are measured on the factors as they are stored.

    Parameters
    ----------
    base : source or None
        See `open_source`; None where `tuned` holds updates already.
    tuned : source
        A checkpoint of the same model, or an adapter.
    family : str
        A name in `FAMILIES`.
    budget, rank, energy, error : optional
        Exactly one: trainable parameters; the equivalent rank r, for r·(m + n) parameters; the
        share of ‖ΔW‖²_F to keep, in (0, 1]; or the relative error allowed, in [0, 1).
    shared : bool
        The budget, or Σ r·(m + n), is for all matrices together: rank goes where it pays, energy
        per parameter, greatest first. Otherwise each matrix has it.
    grid : int or (int, int)
        K or (K_r, K_c) for every matrix.
    target_modules : str or iterable of str
        As for `AdapterConfig`. "all-linear" is what PEFT means by it: every nn.Linear and Conv1D,
        but not the output head; see `weight_kinds` for how they are told. Embeddings and
        convolutions get an adapter where they are named. Of an adapter it is every module.
    exclude_modules : str or iterable of str
        Names or a pattern of modules that get none.
    dtype : torch.dtype
        Of the stored factors: float32, float16 or bfloat16.
    n_jobs : int
        Matrices at a time; -1 is one for each core.
    progress : callable, optional
        ``progress(done, total, name)`` after each matrix.

    Returns
    -------
    Extraction

    Raises
    ------
    TypeError, ValueError
        Settings that are not allowed or contradict each other, sources that do not fit, an error
        that the family cannot reach, or a budget that leaves no rank for any matrix.

    Examples
    --------
    >>> base = {"fc.weight": torch.zeros(8, 8)}
    >>> found = extract_adapters(base, {"fc.weight": torch.eye(8)}, family="diagonal", rank=1)
    >>> round(found.relative_error, 6), found.adapters.num_parameters
    (0.0, 16)
    """
    goal = check_goal(family, budget, rank, energy, error, grid, dtype)
    first, second = open_pair(base, tuned)
    names, skipped = pair_names(first, second)
    skipped |= left_out(second)
    chosen = targeted_modules(
        first or second, second, names, skipped, (target_modules, exclude_modules)
    )
    ranks: Mapping[str, np.ndarray] = {}
    budgets: dict[str, int] = {}
    if shared:
        ranks = _shared_ranks(first, second, chosen, goal, skipped, n_jobs)
        chosen = {name: kind for name, kind in chosen.items() if name in ranks}
        if not resolve_family(family).from_spectra:
            # It finds its own ranks within what its steps spend on the matrix.
            budgets = {
                name: _spent(second.tensors[name].shape, grid_of(goal, chosen[name]), own)
                for name, own in ranks.items()
            }
            ranks = {}
    calls = (
        (
            extract_one,
            None if first is None else part_of(first, name),
            part_of(second, name),
            name,
            replace(goal, budget=budgets[name], rank=None) if budgets else goal,
            kind,
            ranks.get(name),
        )
        for name, kind in chosen.items()
    )
    found: dict[str, Found] = {}
    with closing(run_jobs(calls, len(chosen), n_jobs, progress)) as answers:
        for name, answer in answers:
            if isinstance(answer, str):
                skipped[name] = answer
            else:
                found[name] = answer
    kept = {name: found[name] for name in chosen if name in found}
    if not kept:
        some = next(iter(skipped.items()), ("", "there is no matrix"))
        raise ValueError(f"no matrix gets an adapter; {some[0]}: {some[1]}")
    rows = tuple(row for _, row in kept.values())
    terms = {name.removesuffix(".weight"): held for name, (held, _) in kept.items()}
    kinds = {name.removesuffix(".weight"): chosen[name] for name in kept}
    stored = {module: kind for module, kind in kinds.items() if kind != LINEAR}
    # PEFT must know of the experts that have not changed.
    experts = (name.removesuffix(".weight") for name in (*names, *skipped))
    stored |= {module: LINEAR for module in experts if is_expert(module)}
    adapters = AdapterSet(
        _config(goal, terms),
        terms,
        stored,
        carried_settings(second),
        spelling=spelling_of(second),
    )
    changes = _changes(first, second, skipped, n_jobs)
    notes = dict.fromkeys((*(first.notes if first else ()), *second.notes, *_rounded(rows)))
    return Extraction(
        adapters,
        rows,
        dict(sorted(skipped.items())),
        changes,
        tuple(notes),
        second.config if first is None else first.config,
    )


def resize_adapters(
    folder: SourceLike, *, family: str, grid: GridSize = 8, **settings: Any
) -> Extraction:
    """Return the best adapters of any family at another budget for the updates of an adapter.

    Parameters
    ----------
    folder : source
        A folder of PEFT (LoRA or GraLoRA) or of `save_adapters`, or updates by name.
    family, grid, settings
        As for `extract_adapters`.

    Examples
    --------
    >>> resize_adapters({"fc.weight": torch.eye(8)}, family="localized", grid=2, rank=2).rows[0][
    ...     "rank"
    ... ]
    1
    """
    return extract_adapters(None, folder, family=family, grid=grid, **settings)


def _rounded(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    count = sum(row["rounding_only"] for row in rows)
    if count:
        yield (
            f"{count} of {len(rows)} matrices differ by rounding alone, because base and tuned are "
            "stored in different dtypes: an adapter of these holds noise"
        )


def _changes(
    base: TensorSource | None, tuned: TensorSource, skipped: dict[str, str], n_jobs: int
) -> dict[str, float]:
    """Measure what has no adapter; what has not changed says so."""
    if base is None or tuned.is_update:
        return {}
    names = [n for n in skipped if n in base.tensors and n in tuned.tensors]
    names = [n for n in names if base.tensors[n].shape == tuned.tensors[n].shape]
    calls = ((change_of, part_of(base, n), part_of(tuned, n), n) for n in names)
    found = {}
    with closing(run_jobs(calls, len(names), n_jobs, None)) as answers:
        for name, change in answers:
            if change is not None:
                found[name] = change
            if change == 0:
                skipped[name] = "it has not changed"
    marks = {name: (base.tensors[name].shape, change) for name, change in found.items()}
    for name, twin in tied(base, tuned, marks).items():
        if found.pop(name):
            skipped[name] = f"tied to {twin}, where its change is counted"
    return dict(sorted(found.items()))


def _shared_ranks(
    base: TensorSource | None,
    tuned: TensorSource,
    kinds: Mapping[str, Stored],
    goal: Goal,
    skipped: dict[str, str],
    n_jobs: int,
) -> dict[str, np.ndarray]:
    if goal.error is not None:
        raise ValueError("shared is for a budget or a rank; an error is reached matrix by matrix")
    chosen = list(kinds)
    calls = (
        (steps_one, None if base is None else part_of(base, n), part_of(tuned, n), n, goal, kind)
        for n, kind in kinds.items()
    )
    steps: dict[str, Steps] = {}
    with closing(run_jobs(calls, len(chosen), n_jobs, None)) as answers:
        for name, answer in answers:
            if isinstance(answer, str):
                skipped[name] = answer
            else:
                steps[name] = answer
    # In the order of the names, whatever order the jobs ended in.
    steps = {name: steps[name] for name in chosen if name in steps}
    total = goal.budget
    if total is None:
        total = sum(goal.budget_of(part.grid.shape) for part in steps.values())
    ranks = pooled_ranks(steps, total)
    for name, own in list(ranks.items()):
        if not own.any():
            skipped[name] = "the shared budget pays more elsewhere"
            del ranks[name]
    return ranks


def _spent(shape: tuple[int, ...], grid: GridSize, ranks: np.ndarray) -> int:
    return int((Grid.resolve(grid, matrix_shape(shape)).costs * ranks).sum())


def _config(goal: Goal, terms: Mapping[str, tuple[BlockFactors, ...]]) -> AdapterConfig:
    """Return settings with scaling 1; the ranks themselves stand in the layouts of the terms."""
    used = sum(term.layout.num_parameters for held in terms.values() for term in held)
    sides = sum(sum(held[0].layout.grid.shape) for held in terms.values())
    rank = max(1, round(used / sides))
    whole = {n: held[0].layout for n, held in terms.items() if _spans(held[0].layout)}
    blocks = {n: held[-1].layout for n, held in terms.items() if not _spans(held[-1].layout)}
    stored = resolve_family(goal.family).stored_as(whole=bool(whole), blocks=bool(blocks))
    return AdapterConfig(
        family=stored.name,
        rank=rank,
        alpha=float(rank),
        grid=goal.grid,
        target_modules=tuple(terms),
        rank_map={n: _rows(part.rank_map) for n, part in blocks.items()}
        if stored.takes_ranks
        else None,
        global_rank=max(int(part.rank_map.max()) for part in whole.values())
        if stored.has_global_term
        else None,
    )


def _spans(layout: BlockLayout) -> bool:
    return layout.grid.blocks == (1, 1)


def _rows(ranks: np.ndarray) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(row) for row in ranks.tolist())
