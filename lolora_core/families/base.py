"""What a family must offer. Whatever needs to know something about a family asks here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float64, Int
from torch import Tensor

from lolora_core.blocks.approximation import Approximation
from lolora_core.blocks.grid import Grid
from lolora_core.blocks.rank_maps import RankMap
from lolora_core.blocks.spectra import Spectra
from lolora_core.blocks.svd import BlockSVD, Method

__all__ = [
    "AdapterRequest",
    "Curve",
    "Decomposed",
    "Family",
    "Fit",
    "Steps",
    "TermRanks",
    "Win",
]

Budgets = Int[np.ndarray, " q"]
Energies = Float64[np.ndarray, " q"]


@runtime_checkable
class Decomposed(Protocol):
    """A target whose block decompositions are made when asked for and kept."""

    @property
    def target(self) -> Float[Tensor, "m n"]:
        """W."""

    @property
    def grid(self) -> Grid:
        """The grid that was asked for."""

    @property
    def method(self) -> Method:
        """How blocks are decomposed."""

    @property
    def max_rank(self) -> int | None:
        """The largest rank that will be asked for, where that is known."""

    def on(self, grid: Grid) -> BlockSVD:
        """Return the block decomposition on `grid`."""


@runtime_checkable
class Fit(Protocol):
    """A family on one target: its answer to every budget."""

    def ready(self, budget: int) -> bool:
        """Return whether nothing must be searched any more for a budget."""

    def rank_map(self, budget: int) -> RankMap:
        """Return the ranks of the blocks; with a global term, those of the block term."""

    def errors(self, budgets: Iterable[int]) -> Energies:
        """Return ‖W − Ŵ‖_F/‖W‖_F at each budget."""

    def approximate(self, budget: int) -> Approximation:
        """Return Ŵ with its factors."""


@runtime_checkable
class Curve(Protocol):
    """Answers every budget of one family on one grid, from singular values."""

    @property
    def spectra(self) -> Spectra:
        """Singular values of the blocks of the grid that the family uses."""

    def at(self, budgets: Budgets) -> tuple[Energies, Budgets]:
        """Return the energy left out and the parameters used at each budget."""


class Steps(NamedTuple):
    """What one more rank brings, in lanes that are taken from the front.

    Attributes
    ----------
    lanes : ndarray of int, shape (q,)
        Lane of each step.
    energies : ndarray, shape (q,)
        σ², summed over the blocks that get the rank.
    costs : ndarray of int, shape (q,)
        Parameters.
    grid : Grid
    blocks : ndarray of int, shape (K_r, K_c)
        The lane that gives each block its rank; −1 where a block gets none.
    """

    lanes: Int[np.ndarray, " q"]
    energies: Float64[np.ndarray, " q"]
    costs: Int[np.ndarray, " q"]
    grid: Grid
    blocks: Int[np.ndarray, "K_r K_c"]


class TermRanks(NamedTuple):
    """The ranks of one term of an adapter on its grid."""

    grid: Grid
    rank_map: RankMap


@dataclass(frozen=True)
class AdapterRequest:
    """What an adapter of one weight is to be.

    Attributes
    ----------
    place : str
        How messages call the weight.
    grid : Grid
    rank : int
        Equivalent rank; the budget is rank·(m + n).
    rank_map : ndarray of int, shape (K_r, K_c), optional
        Ranks that are stated, for a family that takes them.
    global_rank : int, optional
        Rank of the global term that is stated, for a family that has one.
    source : Tensor, shape (m, n), optional
        What ranks are chosen from, where they are not stated: the weight, or its gradient.
    word : str
        How messages call the source.
    """

    place: str
    grid: Grid
    rank: int
    rank_map: RankMap | None = None
    global_rank: int | None = None
    source: Float[Tensor, "m n"] | None = None
    word: str = ""


@dataclass(frozen=True)
class Win:
    """What explains why a family has the lowest error.

    Attributes
    ----------
    grid : Grid
        That was asked for; it has two blocks or more.
    rank : int
        Equivalent rank of the budget.
    few, whole : int
        How many singular values of W hold 98 % of its energy, of how many; of the channel that
        needs most.
    block_energies : ndarray, shape (K_r, K_c)
        ‖W_ij‖²_F, all channels together.
    effective_rank, block_effective_rank : float
        Of W, and of its blocks on average.
    energies : mapping from name to float
        Share of ‖W‖²_F that each family captures.
    rank_maps : mapping from name to ndarray of int, shape (channels, K_r, K_c)
    global_ranks : tuple of int
        Of the winner, for each channel.
    """

    grid: Grid
    rank: int
    few: int
    whole: int
    block_energies: Float64[np.ndarray, "K_r K_c"]
    effective_rank: float
    block_effective_rank: float
    energies: Mapping[str, float]
    rank_maps: Mapping[str, Int[np.ndarray, "channels K_r K_c"]]
    global_ranks: tuple[int, ...]

    @property
    def matrix(self) -> str:
        """What the energy is of, in words."""
        return "the energy" if len(self.global_ranks) == 1 else "the energy of the hardest channel"


class Family(ABC):
    """One way to spend a budget on a matrix; one file, one line in the registry.

    Attributes
    ----------
    name : str
        Its key in the registry.
    letter : str
        Says the family where colour does not.
    summary : str
        The structure in one line.
    formula : str
        The approximation and its parameters, as LaTeX.
    source : str
        Where it comes from.
    spans_whole : bool
        It uses the 1×1 grid, whatever grid is asked for.
    needs_square_grid : bool
        It needs as many block rows as block columns.
    needs_spectra : bool
        Its ranks depend on the target; those of the others follow from the budget alone.
    from_spectra : bool
        Its errors are read from the singular values of the target's blocks. Where they are not,
        every new grid costs a search, and the family comes only when named.
    reaches_zero : bool
        A large enough budget makes the error zero on any grid.
    init : {"zero", "gradient"}
        How its adapters start in training unless another start is asked for.
    takes_ranks : bool
        The ranks of its adapters can be stated, block by block.
    has_global_term : bool
        Beside its blocks it can have a term that spans the whole matrix.
    """

    name: ClassVar[str]
    letter: ClassVar[str]
    summary: ClassVar[str]
    formula: ClassVar[str]
    source: ClassVar[str]
    spans_whole: ClassVar[bool] = False
    needs_square_grid: ClassVar[bool] = False
    needs_spectra: ClassVar[bool] = False
    from_spectra: ClassVar[bool] = False
    reaches_zero: ClassVar[bool] = True
    init: ClassVar[Literal["zero", "gradient"]] = "zero"
    takes_ranks: ClassVar[bool] = False
    has_global_term: ClassVar[bool] = False

    def __repr__(self) -> str:
        return f"<family {self.name}>"

    def grid(self, grid: Grid) -> Grid:
        """Return the grid that the family uses where `grid` is asked for."""
        return grid.whole() if self.spans_whole else grid

    def fits(self, grid: Grid) -> bool:
        """Return whether the family is defined on `grid`."""
        return not self.needs_square_grid or grid.blocks[0] == grid.blocks[1]

    def least_budget(self, grid: Grid) -> int:
        """Return the parameters of the smallest approximation that is not zero."""
        return int(self.grid(grid).costs.min())

    def is_best(self, grid: Grid) -> bool:
        """Return whether its approximations on `grid` are proven to be the best it allows."""
        return False

    @abstractmethod
    def fit(self, svd: Decomposed) -> Fit:
        """Return what answers every budget on a target."""

    @abstractmethod
    def steps(self, spectra: Spectra) -> Steps:
        """Return what each rank of one matrix would bring, to share a budget over matrices."""

    @abstractmethod
    def adapter_terms(self, request: AdapterRequest) -> tuple[TermRanks, ...]:
        """Return the ranks of an adapter's terms.

        Raises
        ------
        ValueError
            The rank, the grid or the stated ranks do not fit; the message names what does.
        """

    @abstractmethod
    def explain(self, win: Win) -> str:
        """Say, with the numbers that decide it, why the family has the lowest error."""

    def stored_as(self, *, whole: bool, blocks: bool) -> Family:
        """Return the family of adapters that have a global term, a block term, or both."""
        return self

    def peft_settings(self, grid: Grid, num_parameters: int) -> dict[str, int]:
        """Return the settings of a PEFT adapter of the same structure and size; empty if none."""
        return {}
