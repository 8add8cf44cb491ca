"""What an adapter is made from: family, rank, grid, scaling, targets, start."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Int

from lolora_core.blocks.grid import Grid
from lolora_core.families import FAMILIES, resolve_family

__all__ = ["AdapterConfig", "Init"]

Init = Literal["zero", "svd", "gradient"]

RankRows = tuple[tuple[int, ...], ...]
#: What `rank_map=` takes for one weight.
RankMapLike = RankRows | Sequence[Sequence[int]] | np.ndarray
AdapterGrid = int | tuple[int, int] | tuple[tuple[int, ...], tuple[int, ...]]


def _integer(value: Any, name: str, least: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer; it is {value!r}") from None
    if number < least:
        raise ValueError(f"{name} must be {least} or more; it is {number}")
    return number


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number; it is {value!r}")
    return float(value)


def _grid(grid: Any) -> AdapterGrid:
    if isinstance(grid, Grid):
        return grid.row_edges, grid.col_edges
    if isinstance(grid, Sequence) and not isinstance(grid, str):
        if len(grid) != 2:
            raise ValueError(
                f"grid must be K, (K_r, K_c) or (row edges, col edges); it is {grid!r}"
            )
        if all(isinstance(part, Sequence) and not isinstance(part, str) for part in grid):
            cut = Grid(*grid)
            return cut.row_edges, cut.col_edges
        return _integer(grid[0], "grid", 1), _integer(grid[1], "grid", 1)
    return _integer(grid, "grid", 1)


def _rank_rows(rank_map: Any, name: str) -> RankRows:
    array = np.asarray(rank_map)
    if array.ndim != 2 or array.dtype.kind not in "iu" or not array.size:
        raise ValueError(
            f"{name} must hold one integer for each block, K_r rows of K_c; it is {rank_map!r}"
        )
    if (array < 0).any() or not array.any():
        raise ValueError(
            f"{name} must hold ranks of 0 or more, at least one above 0; it is {rank_map!r}"
        )
    return tuple(tuple(row) for row in array.tolist())


@dataclass(frozen=True)
class AdapterConfig:
    """The settings of `add_adapters`.

    The update is ΔW_ij = (alpha/rank)·B_ij·A_ij on block (i, j) of each target's weight, whose
    rows are outputs and whose columns are inputs. The ranks follow from the family at the budget
    P = rank·(m + n) of each weight.

    Parameters
    ----------
    family : str
        A name in `FAMILIES`.
    rank : int
        The equivalent rank r ≥ 1.
    grid : int, (int, int), (row edges, col edges) or Grid
        The cut of every target. `global` uses the whole matrix whatever stands here.
    alpha : float
        Scaling is alpha/rank for every family, so learning rates compare.
    dropout : float
        Probability in [0, 1) that an input of the adapter is zeroed in training.
    target_modules : str or sequence of str
        As in PEFT: names match whole names or their last parts, a string is a regular expression
        for the whole name, "all-linear" is every nn.Linear.
    init : {"zero", "svd", "gradient"}
        "zero": A is kaiming_uniform(a=√5) per block and B zero, so the update starts at zero.
        "svd": the leading singular triples of each block move from the base into the adapter
        (PiSSA, arXiv 2404.02948, block by block); base plus adapter is the pretrained weight.
        "gradient": as "zero", with the ranks of `adaptive` or `hybrid` chosen for the full
        gradient; this project's own idea.
    rank_map : array of int or mapping from module name to one, optional
        The ranks of the blocks for `adaptive` or `hybrid`; the rank then sets the scaling only.
    global_rank : int, optional
        For `hybrid` with a `rank_map`: the rank of the global term. Without a `rank_map` both are
        found: in the weight for init="svd", in the gradient for init="gradient".

    Raises
    ------
    TypeError, ValueError
        A value that is not allowed, or values that contradict each other.

    Examples
    --------
    >>> AdapterConfig(family="localized", rank=16, grid=4, alpha=32).scaling
    2.0
    >>> AdapterConfig(family="adaptive", rank=8)
    Traceback (most recent call last):
    ValueError: adaptive needs spectra to choose its ranks: set init='svd', or init='gradient' \
with gradients, or give a rank_map
    """

    family: str = "localized"
    rank: int = 16
    grid: AdapterGrid | Grid = 4
    alpha: float = 16.0
    dropout: float = 0.0
    target_modules: str | Sequence[str] = "all-linear"
    init: Init = "zero"
    rank_map: RankMapLike | Mapping[str, RankMapLike] | None = None
    global_rank: int | None = None

    def __post_init__(self) -> None:
        resolve_family(self.family)
        if self.init not in get_args(Init):
            raise ValueError(
                f"init must be one of {', '.join(get_args(Init))}; it is {self.init!r}"
            )
        self._set("rank", _integer(self.rank, "rank", 1))
        self._set("grid", _grid(self.grid))
        self._set("alpha", _number(self.alpha, "alpha"))
        if not (math.isfinite(self.alpha) and self.alpha > 0):
            raise ValueError(f"alpha must be finite and above 0; it is {self.alpha}")
        self._set("dropout", _number(self.dropout, "dropout"))
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1); it is {self.dropout}")
        self._check_targets()
        self._check_ranks()

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _check_targets(self) -> None:
        targets = self.target_modules
        if isinstance(targets, str):
            return
        if not isinstance(targets, Sequence | set | frozenset) or not all(
            isinstance(name, str) for name in targets
        ):
            raise TypeError(
                f"target_modules must be a string or a list of names; it is {targets!r}"
            )
        if not targets:
            raise ValueError("target_modules must name at least one module; it is empty")
        self._set("target_modules", tuple(sorted(set(targets))))

    def _check_ranks(self) -> None:
        family = resolve_family(self.family)
        if self.rank_map is not None:
            if not family.takes_ranks:
                able = " or ".join(repr(f.name) for f in FAMILIES.values() if f.takes_ranks)
                raise ValueError(
                    f"{self.family} sets its ranks itself; a rank_map needs family {able}"
                )
            if isinstance(self.rank_map, Mapping):
                maps = {
                    name: _rank_rows(part, f"rank_map[{name!r}]")
                    for name, part in self.rank_map.items()
                }
                self._set("rank_map", maps)
            else:
                self._set("rank_map", _rank_rows(self.rank_map, "rank_map"))
        if self.global_rank is not None:
            if not family.has_global_term:
                raise ValueError(
                    f"global_rank is the rank of a global term; {self.family} has none beside its "
                    "blocks"
                )
            if self.rank_map is None:
                raise ValueError(
                    f"global_rank goes with a rank_map; without one {self.family} finds both"
                )
            self._set("global_rank", _integer(self.global_rank, "global_rank", 1))
        elif family.has_global_term and self.rank_map is not None:
            raise ValueError(
                f"{self.family} with a rank_map needs a global_rank, the rank of its global term"
            )
        if self.init == "gradient" and (not family.takes_ranks or self.rank_map is not None):
            raise ValueError(
                "init 'gradient' chooses ranks; "
                f"the family is {self.family}" + (" with a rank_map" if self.rank_map else "")
            )
        if family.needs_spectra and self.init == "zero" and self.rank_map is None:
            raise ValueError(
                f"{self.family} needs spectra to choose its ranks: set init='svd', or "
                "init='gradient' with gradients, or give a rank_map"
            )

    @property
    def scaling(self) -> float:
        """alpha/rank."""
        return self.alpha / self.rank

    def own_ranks(self, name: str) -> Int[np.ndarray, "K_r K_c"] | None:
        """Return the rank map given for a module, or None where none is given at all.

        Raises
        ------
        ValueError
            There are maps by name, but none for this module.
        """
        if self.rank_map is None:
            return None
        if not isinstance(self.rank_map, Mapping):
            return np.array(self.rank_map, dtype=np.int64)
        if name not in self.rank_map:
            raise ValueError(
                f"rank_map has no entry for the target {name!r}; it has {', '.join(self.rank_map)}"
            )
        return np.array(self.rank_map[name], dtype=np.int64)

    def grid_of(self, shape: Sequence[int]) -> Grid:
        """Return the grid of a weight of `shape` (out_features, in_features)."""
        if isinstance(self.grid, tuple) and isinstance(self.grid[0], tuple):
            return Grid.resolve(Grid(*self.grid), shape)
        return Grid.resolve(self.grid, shape)

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON values.

        Examples
        --------
        >>> config = AdapterConfig(rank=8, grid=2)
        >>> AdapterConfig.from_json(config.to_json()) == config
        True
        """
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> AdapterConfig:
        """Build from what `to_json` returned.

        Raises
        ------
        ValueError
            Unknown settings, or values that are not allowed.
        """
        known = {part.name for part in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(
                f"unknown settings {', '.join(unknown)}; known are {', '.join(sorted(known))}"
            )
        return cls(**values)
