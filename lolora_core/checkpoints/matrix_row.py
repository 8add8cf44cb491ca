"""One matrix of a survey: all that is measured of its update."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lolora_core.blocks.grid import budget_for_rank
from lolora_core.checkpoints.align import held_rank
from lolora_core.checkpoints.columns import ENERGY_RANKS
from lolora_core.checkpoints.directions import LIVE
from lolora_core.checkpoints.intruders import count_intruders
from lolora_core.checkpoints.pairs import layer_and_kind, read_update
from lolora_core.checkpoints.pooled import curve_row
from lolora_core.checkpoints.rounding import pair_rounding
from lolora_core.checkpoints.rows import Row
from lolora_core.common.checks import NonFiniteError
from lolora_core.common.metrics import effective_rank, first_singular_share, stable_rank
from lolora_core.common.threads import one_thread
from lolora_core.explore.sweep import Sweep, sweep
from lolora_core.families import REFERENCE, resolve_family
from lolora_core.files.tensors import TensorSource, read_matrix

__all__ = ["SurveySettings", "survey_row"]


@dataclass(frozen=True)
class SurveySettings:
    """What a survey was asked for, checked.

    Attributes
    ----------
    families : tuple of str
    grids : tuple of (int, int)
    rank, budget : int or None
        One of them.
    intruders : int
        How many leading directions of each tuned matrix are held against the base's; 0 for none.
    curve : bool
        Whether the errors at every rank are kept too.
    """

    families: tuple[str, ...]
    grids: tuple[tuple[int, int], ...]
    rank: int | None
    budget: int | None
    intruders: int
    curve: bool = False

    def budget_of(self, shape: tuple[int, int]) -> int:
        """Return the budget of a matrix."""
        return budget_for_rank(shape, self.rank) if self.rank is not None else self.budget or 0


def survey_row(
    base: TensorSource | None, tuned: TensorSource, name: str, settings: SurveySettings
) -> tuple[str, Row | str]:
    """Return the row of one matrix, or why there is none."""
    with one_thread():
        try:
            update, moved, norm = read_update(base, tuned, name)
        except NonFiniteError as error:
            return name, str(error)
        m, n = update.shape
        fit = [g for g in settings.grids if g[0] <= m and g[1] <= n] or [(1, 1)]
        budget = settings.budget_of((m, n))
        found = sweep(update, fit, settings.families, [budget])
        spectra = found.curves[REFERENCE.name, fit[0]].spectra
        values = spectra.values[0, 0]
        layer, kind = layer_and_kind(name)
        rounding = pair_rounding(base, tuned, name)
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
            "rounding_only": rounding.only,
            "rounding_share": rounding.norm / moved if rounding.norm and moved else None,
            "effective_rank": effective_rank(values),
            "stable_rank": stable_rank(values),
            "first_singular_share": first_singular_share(values),
            "dead_ranks": None,
            "intruders": None,
            "intruders_random": None,
        }
        if (held := held_rank(tuned, name)) is not None:
            alive = int((values > LIVE * values[0]).sum())
            row["dead_ranks"] = max(0, held - alive)
        if base is not None and settings.intruders:
            before = read_matrix(base, name).reshape(m, n)
            # The spectrum is that of a scaled matrix.
            scaled = values * (moved / (np.sqrt(spectra.total) or 1.0))
            counted = count_intruders(before, update, scaled, settings.intruders, name=name)
            row |= {"intruders": counted.found, "intruders_random": counted.random}
        tails, total = spectra.tails[0, 0], spectra.total
        for rank in ENERGY_RANKS:
            left = float(tails[min(rank, len(tails) - 1)])
            row[f"energy_{rank}"] = 1 - left / total if total else 1.0
        row |= _structures(found, fit, budget, settings, changed=moved > 0)
        if settings.curve:
            row["curve"] = curve_row(found, _columns(settings, fit))
        return name, row


def _columns(
    settings: SurveySettings, fit: list[tuple[int, int]]
) -> dict[str, tuple[str, tuple[int, int]]]:
    """Return the column of the error of every structure, with its key in a sweep."""
    found = {}
    for family in settings.families:
        if resolve_family(family).spans_whole:
            found[f"error_{family}"] = (family, fit[0])
        else:
            for rows, cols in settings.grids:
                found[f"error_{family}_{rows}x{cols}"] = (family, (rows, cols))
    return found


def _structures(
    found: Sweep,
    fit: list[tuple[int, int]],
    budget: int,
    settings: SurveySettings,
    *,
    changed: bool,
) -> Row:
    """Return the errors of every structure at the budget, and which is best."""
    row: Row = {"budget": budget, "equivalent_rank": budget / sum(found.shape)}
    for column, key in _columns(settings, fit).items():
        at = found.errors.get(key)
        row[column] = float("nan") if at is None else float(at[0])
    best = found.best(budget) if changed else None
    on = (1, 1) if best and resolve_family(best.family).spans_whole else best and best[1:3]
    lora = float(found.errors[REFERENCE.name, fit[0]][0])
    return row | {
        "best_family": best.family if best else None,
        "best_grid": f"{on[0]}x{on[1]}" if on else None,
        "best_parameters": best.num_parameters if best else None,
        "best_error": best.relative_error if best else None,
        "gain": None if best is None else 1 - best.relative_error / lora if lora else 0.0,
    }
