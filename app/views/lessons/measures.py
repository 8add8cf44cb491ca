"""What a lesson may ask the program to measure: a small closed set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from app.shared.scene import Scene, decompositions
from app.shared.words import format_error, percent, three_digits
from app.views.lessons.races import race
from lolora_core import decompose
from lolora_core.blocks.grid import budget_for_rank
from lolora_core.common.words import join_words
from lolora_core.explore.compare import TIE, Comparison, compare, energy_count, rank_to_reach
from lolora_core.explore.marchenko_pastur import noise_edge
from lolora_core.families import REFERENCE
from lolora_core.training import TASKS

__all__ = ["MEASURES", "Kind", "Looked", "update_errors", "written"]

#: Share of the energy whose singular values are counted.
MOST = 0.9


@dataclass(frozen=True, eq=False)
class Looked:
    """A full state, and on pages with a target what it looks at."""

    state: Mapping[str, Any]
    scene: Scene | None

    @property
    def seen(self) -> Scene:
        """The scene; only pages with a target have one."""
        if self.scene is None:
            raise ValueError("this page looks at no target")
        return self.scene

    @property
    def rank(self) -> int:
        """Equivalent rank of the budget."""
        return int(self.state["rank"])

    @cached_property
    def found(self) -> Comparison:
        """Every family at the budget."""
        return compare(decompositions(self.seen), self.rank)


@dataclass(frozen=True)
class Kind:
    """One thing that can be measured.

    Attributes
    ----------
    read : callable
        ``(looked, of) -> number or words``.
    write : callable
        The number as the app writes it.
    of : {"", "family", "method"}
        What it is measured of.
    trained : bool
        On Fine-tune, not on a target.
    is_words : bool
        It is a name, not a number.
    """

    read: Callable[[Looked, str], Any]
    write: Callable[[Any], str]
    of: str = ""
    trained: bool = False
    is_words: bool = False


def _whole(value: float) -> str:
    return f"{round(value):,}"


def update_errors(looked: Looked) -> dict[str, Comparison]:
    """Return every family's best approximation of each ΔW that full fine-tuning finds."""
    found = race(dict(looked.state), "full")
    return {
        name: compare([decompose(delta, grid=looked.state["ft_grid"])], looked.state["ft_rank"])
        for name, delta in found.deltas.items()
    }


def _update_error(looked: Looked, family: str) -> float:
    found = race(dict(looked.state), "full")
    errors = {n: c.results[family].relative_error for n, c in update_errors(looked).items()}
    squares = {name: float(np.square(delta).sum()) for name, delta in found.deltas.items()}
    lost = sum(errors[name] ** 2 * squares[name] for name in errors)
    return float(np.sqrt(lost / sum(squares.values())))


def _channels_sum(looked: Looked, of: Callable[[Any], float]) -> float:
    channels = decompositions(looked.seen)
    return sum(of(channel) for channel in channels)


def _diagonal_share(looked: Looked, _: str) -> float:
    grid = looked.seen.grid
    on = range(min(grid.blocks))
    inside = _channels_sum(looked, lambda c: sum(c.on(grid).spectra.tails[i, i, 0] for i in on))
    return float(inside / _channels_sum(looked, lambda c: c.on(grid).spectra.total))


def _largest(looked: Looked, _: str) -> float:
    (channel, *_rest) = decompositions(looked.seen)
    return float(channel.on(looked.seen.grid.whole()).spectra.values[0, 0, 0])


def _winners(looked: Looked, _: str) -> list[str]:
    return [result.family.name for result in looked.found.winners]


def _fastest(looked: Looked, _: str) -> list[str]:
    losses = {m: race(dict(looked.state), m).loss for m in looked.state["ft_methods"]}
    best = min(losses.values())
    return [method for method, loss in losses.items() if loss <= best + TIE]


def _steps(looked: Looked, _: str) -> int:
    return int(looked.state["ft_steps"] or TASKS[looked.state["ft_task"]].steps)


def _rate(looked: Looked, method: str) -> float:
    # Without training, where the state says it.
    return float(looked.state[f"ft_lr.{method}"] or race(dict(looked.state), method).lr)


def _block_height(looked: Looked, _: str) -> float:
    return float(looked.seen.grid.row_sizes[0])


MEASURES: dict[str, Kind] = {
    "relative_error": Kind(
        lambda at, f: at.found.results[f].relative_error, format_error, "family"
    ),
    "energy": Kind(lambda at, f: at.found.results[f].energy, percent, "family"),
    "parameters": Kind(lambda at, f: at.found.results[f].num_parameters, _whole, "family"),
    "unused": Kind(lambda at, f: at.found.results[f].unused_parameters, _whole, "family"),
    "least_rank": Kind(lambda at, f: int(at.found.results[f].rank_maps.min()), _whole, "family"),
    "greatest_rank": Kind(lambda at, f: int(at.found.results[f].rank_maps.max()), _whole, "family"),
    "whole_rank": Kind(lambda at, f: at.found.results[f].reconstruction_rank(), _whole, "family"),
    "rank_needed": Kind(
        lambda at, f: (
            rank_to_reach(
                decompositions(at.seen), REFERENCE.name, at.found.results[f].relative_error
            )
            or 0
        ),
        _whole,
        "family",
    ),
    "winner": Kind(_winners, join_words, is_words=True),
    "rank": Kind(lambda at, _: at.rank, _whole),
    "budget": Kind(lambda at, _: at.found.budget, _whole),
    "entries": Kind(lambda at, _: at.seen.target.array.size, _whole),
    "share": Kind(lambda at, _: at.found.budget / at.seen.target.array.size, percent),
    "height": Kind(lambda at, _: at.seen.target.shape[0], _whole),
    "width": Kind(lambda at, _: at.seen.target.shape[1], _whole),
    "block_rows": Kind(lambda at, _: at.seen.grid.blocks[0], _whole),
    "block_columns": Kind(lambda at, _: at.seen.grid.blocks[1], _whole),
    "blocks": Kind(lambda at, _: at.seen.grid.costs.size, _whole),
    "block_height": Kind(_block_height, _whole),
    "block_costs": Kind(lambda at, _: int(at.seen.grid.costs[0, 0]), _whole),
    "rank_costs": Kind(lambda at, _: budget_for_rank(at.seen.grid.shape, 1), _whole),
    "values_for_most": Kind(lambda at, _: energy_count(decompositions(at.seen), MOST), _whole),
    "values": Kind(lambda at, _: min(at.seen.target.shape), _whole),
    "diagonal_share": Kind(_diagonal_share, percent),
    "largest_value": Kind(_largest, three_digits),
    "noise_edge": Kind(lambda at, _: noise_edge(*at.seen.target.shape), three_digits),
    "stride": Kind(lambda at, _: at.state["stride"], _whole),
    "loss": Kind(lambda at, m: race(dict(at.state), m).loss, three_digits, "method", True),
    "metric": Kind(lambda at, m: race(dict(at.state), m).metric, percent, "method", True),
    "learning_rate": Kind(_rate, "{:g}".format, "method", True),
    "trained_parameters": Kind(
        lambda at, m: race(dict(at.state), m).num_parameters, _whole, "method", True
    ),
    "update_error": Kind(_update_error, format_error, "family", True),
    "lowest_loss": Kind(_fastest, join_words, trained=True, is_words=True),
    "steps": Kind(
        lambda at, _: race(dict(at.state), at.state["ft_methods"][0]).steps[-1],
        _whole,
        trained=True,
    ),
}


def written(looked: Looked, measure: str, of: str) -> str:
    """Return what is measured, as the app writes it."""
    kind = MEASURES[measure]
    return kind.write(kind.read(looked, of))
