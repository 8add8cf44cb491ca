"""What a step shows: each figure of `app.views.lessons.lesson.SHOWN`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import streamlit as st

from app.shared import answers
from app.shared.cells import rank_map_figure
from app.shared.common import RANK
from app.shared.scene import decompositions
from app.shared.words import as_text
from app.views.lessons import figures, sentences, snippets
from app.views.lessons.drawings import (
    Drawn,
    family_picture,
    row,
    strips_picture,
    structure_row,
    target_picture,
)
from app.views.lessons.lesson import Step
from app.views.lessons.measures import MOST, Looked, update_errors
from app.views.lessons.races import race
from lolora_core.explore.compare import Result, energy_count, errors_at_ranks
from lolora_core.explore.marchenko_pastur import noise_singular_values
from lolora_core.families import resolve_family

__all__ = ["SIDES", "show"]

#: Blocks a side over which the error is drawn.
SIDES = (1, 2, 4, 8, 16, 32, 64)
_COLUMNS = {
    "family": st.column_config.TextColumn(
        help="A way to spend the budget: a grid, and a rule that gives every block its rank."
    ),
    "relative error": st.column_config.NumberColumn(
        format="%.4f", help="‖W − Ŵ‖_F/‖W‖_F: 0 is exact, 1 is as bad as giving back zeros."
    ),
    "parameters": st.column_config.NumberColumn(
        format="localized", help="Numbers that are learned or stored."
    ),
    "rank": st.column_config.TextColumn(
        help="How many pairs of a tall and a wide strip each block has."
    ),
}


def show(
    items: Sequence[str], step: Step, looked: Mapping[str, Looked], key: str, *, tell: bool = True
) -> None:
    """Draw the figures that a step lists.

    Parameters
    ----------
    items : sequence of str
        Of `SHOWN`, each of the step's own state or, after an @, of another.
    step : Step
    looked : mapping
        The states of the step by name; "" is its own.
    key : str
        Of the step, for the widgets.
    tell : bool
        With the errors below the pictures; not before a guess.
    """
    for item in items:
        name, _, at = item.partition("@")
        own = f"{key}_{name}_{at.replace(' ', '_')}"
        if at:
            st.markdown(f"**{as_text(at.capitalize())}**")
        if name == "ladder":
            _ladder(step, looked, tell)
        elif name == "pictures":
            _pictures(step, looked[at], own, tell)
        else:
            _DRAW[name](step, looked[at], own)


def _results(step: Step, looked: Looked) -> dict[str, Result]:
    found = looked.found.results
    return {name: found[name] for name in (step.families or found) if name in found}


def _target(step: Step, looked: Looked, key: str) -> None:
    row([target_picture(looked.seen, sentences.told(looked.seen.target))])


def _pictures(step: Step, looked: Looked, key: str, tell: bool) -> None:
    best = {result.family.name for result in looked.found.winners}
    drawn = [target_picture(looked.seen, sentences.told(looked.seen.target))]
    for name, result in _results(step, looked).items():
        words = sentences.picture(name, result.relative_error, name in best) if tell else name
        drawn.append(family_picture(looked, name, words))
    row(drawn)
    answers.python(snippets.compared(looked.seen, looked.rank), key=f"{key}_python")


def _strips(step: Step, looked: Looked, key: str) -> None:
    row([strips_picture(looked, sentences.strips(looked.seen.target.shape, looked.rank))])


def _ladder(step: Step, looked: Mapping[str, Looked], tell: bool) -> None:
    drawn: list[Drawn] = []
    for name in (*step.also, ""):
        one = looked[name]
        family, result = next(iter(_results(step, one).items()))
        words = sentences.rung(name, family, one.rank, result.relative_error if tell else None)
        drawn.append(family_picture(one, family, words))
    row(drawn)


def _errors(step: Step, looked: Looked, key: str) -> None:
    rows = []
    for name, result in _results(step, looked).items():
        least, most = int(result.rank_maps.min()), int(result.rank_maps.max())
        rows.append(
            {
                "family": name,
                "relative error": result.relative_error,
                "parameters": result.num_parameters,
                "rank": f"{least}" if least == most else f"{least} to {most}",
            }
        )
    code = snippets.compared(looked.seen, looked.rank)
    answers.table(pd.DataFrame(rows), key=key, columns=_COLUMNS, code=code)


def _structure(step: Step, looked: Looked, key: str) -> None:
    results = _results(step, looked)
    structure_row(results)
    st.caption(sentences.structures({n: r.num_parameters for n, r in results.items()}))
    answers.python(snippets.compared(looked.seen, looked.rank), key=f"{key}_python")


def _drawable(step: Step, looked: Looked) -> list[str]:
    return [name for name in _results(step, looked) if resolve_family(name).from_spectra]


def _curve(step: Step, looked: Looked, key: str) -> None:
    channels, families = decompositions(looked.seen), _drawable(step, looked)
    most = min(RANK.maximum, max(2 * looked.rank, min(looked.seen.target.shape) // 4))
    ranks = range(0, most + 1, max(1, most // 64))
    errors = {name: errors_at_ranks(channels, name, list(ranks)) for name in families}
    each = sum(looked.seen.grid.shape) * len(channels)
    now = {name: looked.found.results[name].relative_error for name in families}
    answers.chart(
        figures.curve_figure([rank * each for rank in ranks], errors, looked.rank * each),
        key=key,
        caption=sentences.kept(now, looked.rank * each),
        code=snippets.curve(looked.seen, families, list(ranks)),
    )


def _grids(step: Step, looked: Looked, key: str) -> None:
    channels, families = decompositions(looked.seen), _drawable(step, looked)
    sides = [k for k in SIDES if k <= min(looked.seen.target.shape)]
    errors: dict[str, list[float]] = {name: [] for name in families}
    for side in sides:
        cut = [channel.regrid(side) for channel in channels]
        for name in families:
            errors[name].append(float(errors_at_ranks(cut, name, [looked.rank])[0]))
    answers.chart(
        figures.grids_figure(sides, errors),
        key=key,
        caption=sentences.by_side(sides, errors),
        code=snippets.grids(looked.seen, looked.rank, sides, families),
    )


def _ranks(step: Step, looked: Looked, key: str) -> None:
    for name, result in _results(step, looked).items():
        found = result.rank_maps[0]
        if found.size == 1:
            continue
        answers.chart(
            rank_map_figure(found, height=340),
            key=f"{key}_{name}",
            caption=sentences.ranks(name, int(found.min()), int(found.max())),
            code=snippets.ranks(looked.seen, looked.rank, name),
        )


def _spectrum(step: Step, looked: Looked, key: str) -> None:
    channels = decompositions(looked.seen)
    values = channels[0].on(looked.seen.grid.whole()).spectra.values[0, 0]
    is_noise = looked.seen.target.id == "gaussian-noise"
    noise = noise_singular_values(*looked.seen.target.shape) if is_noise else None
    held = energy_count(channels[:1], MOST)
    answers.chart(
        figures.spectrum_figure(np.asarray(values), looked.rank, noise),
        key=key,
        caption=sentences.spectrum(len(values), held, MOST, looked.rank, is_noise),
        code=snippets.spectrum(looked.seen, is_noise),
    )


def _race(step: Step, looked: Looked, key: str) -> None:
    state = dict(looked.state)
    ran = {method: race(state, method) for method in state["ft_methods"]}
    answers.chart(
        figures.race_figure({m: (found.steps, found.losses) for m, found in ran.items()}),
        key=key,
        caption=sentences.race(
            {m: found.loss for m, found in ran.items()}, {m: found.lr for m, found in ran.items()}
        ),
        code=snippets.race(state, list(ran)),
    )


def _updates(step: Step, looked: Looked, key: str) -> None:
    rows = [
        {"matrix": matrix, "family": name, "relative error": result.relative_error}
        for matrix, found in update_errors(looked).items()
        for name, result in found.results.items()
        if name in (step.families or found.results)
    ]
    code = snippets.updates(looked.state)
    answers.table(pd.DataFrame(rows), key=key, columns=_COLUMNS, code=code)


_DRAW: Mapping[str, Callable[[Step, Looked, str], None]] = {
    "target": _target,
    "errors": _errors,
    "strips": _strips,
    "structure": _structure,
    "curve": _curve,
    "grids": _grids,
    "ranks": _ranks,
    "spectrum": _spectrum,
    "race": _race,
    "updates": _updates,
}
