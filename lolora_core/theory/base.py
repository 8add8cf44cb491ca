"""What a statement is, and what its check on random matrices says."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from jaxtyping import Float64

from lolora_core.blocks.approximation import Approximation
from lolora_core.blocks.grid import Grid
from lolora_core.common.threads import one_thread
from lolora_core.theory.works import Work

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["EXACT", "ROUNDING", "Check", "Draw", "Relation", "Sides", "Statement", "largest_rank"]

#: What the two sides of a statement promise; "≈" is a mean against a limit.
Relation = Literal["=", "≤", "≈"]

#: Whole numbers are compared as they are.
EXACT = 0.0

#: Of relative errors and their squares in float64: rounding stays below 1e-14 on these sizes.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Sides:
    """Both sides of a statement.

    Attributes
    ----------
    case : int
        Which random case; 0 for a mean over all cases.
    what : str
        What is compared.
    left, right : float
    relation : {"=", "≤", "≈"}
    tolerance : float
        The largest deviation that counts as held.
    """

    case: int
    what: str
    left: float
    relation: Relation
    right: float
    tolerance: float = ROUNDING

    @property
    def deviation(self) -> float:
        """How far the sides are from their relation; 0 for a smaller left side of "≤".

        Examples
        --------
        >>> Sides(1, "", 3.0, "≤", 4.0).deviation, Sides(1, "", 3.0, "=", 4.0).deviation
        (0.0, 1.0)
        """
        apart = self.left - self.right
        return max(apart, 0.0) if self.relation == "≤" else abs(apart)

    @property
    def holds(self) -> bool:
        """Whether the deviation is within the tolerance; not a number never is."""
        return self.deviation <= self.tolerance


@dataclass(frozen=True, eq=False)
class Check:
    """A statement on random cases.

    Attributes
    ----------
    sides : tuple of Sides
        In the order of the cases.
    """

    sides: tuple[Sides, ...]

    @property
    def holds(self) -> bool:
        """Whether every comparison of every case holds."""
        return all(sides.holds for sides in self.sides)

    @property
    def of_means(self) -> bool:
        """Whether means over all cases are compared, in place of single cases."""
        return all(sides.case == 0 for sides in self.sides)

    @cached_property
    def _verdicts(self) -> list[bool]:
        if self.of_means:
            return [sides.holds for sides in self.sides]
        kept: dict[int, bool] = {}
        for sides in self.sides:
            kept[sides.case] = kept.get(sides.case, True) and sides.holds
        return list(kept.values())

    @property
    def total(self) -> int:
        """How many cases there are; of means, how many comparisons."""
        return len(self._verdicts)

    @property
    def held(self) -> int:
        """How many of the `total` hold."""
        return sum(self._verdicts)

    @property
    def largest_deviation(self) -> float:
        """The largest deviation of any comparison, broken ones included."""
        return float(np.max([sides.deviation for sides in self.sides]))

    @property
    def worst(self) -> Sides:
        """The comparison that is furthest over its tolerance, or closest to it."""
        return max(self.sides, key=lambda sides: (not sides.holds, sides.deviation))

    def frame(self) -> pd.DataFrame:
        """Return both sides as a table, a row for each comparison.

        Examples
        --------
        >>> Check((Sides(1, "ranks", 2, "≤", 3, EXACT),)).frame().to_dict("list")["left"]
        [2]
        """
        import pandas as pd  # slow to load

        return pd.DataFrame(
            [
                {
                    "case": sides.case,
                    "what": sides.what,
                    "left": sides.left,
                    "relation": sides.relation,
                    "right": sides.right,
                    "deviation": float(sides.deviation),
                    "holds": sides.holds,
                }
                for sides in self.sides
            ]
        )


@dataclass(frozen=True)
class Draw:
    """One random case.

    Attributes
    ----------
    case : int
        Counted from 1.
    grid : Grid
        K×K blocks.
    rank : int
        ρ, the rank of a block.
    rng : Generator
        Depends on the seed and the case alone.
    """

    case: int
    grid: Grid
    rank: int
    rng: np.random.Generator

    @property
    def blocks(self) -> int:
        """K, the number of blocks a side."""
        return self.grid.blocks[0]

    @property
    def one_rank(self) -> int:
        """Parameters of one rank of `global`, m + n."""
        return sum(self.grid.shape)

    @property
    def budget(self) -> int:
        """K·ρ·(m + n): rank ρ in every block, or rank K·ρ of one product."""
        return self.blocks * self.rank * self.one_rank

    def noise(self) -> Float64[np.ndarray, "m n"]:
        """Return independent standard normal numbers."""
        return self.rng.standard_normal(self.grid.shape)

    def matrix(self) -> Float64[np.ndarray, "m n"]:
        """Return a random matrix whose columns fade from left to right, each time at another rate.

        So its blocks differ in energy, and its singular values fall.
        """
        fading = np.arange(1.0, self.grid.shape[1] + 1) ** -self.rng.uniform(0, 1)
        return self.noise() * fading


class Statement(ABC):
    """One statement about families, with its proof and a check of it.

    Attributes
    ----------
    name : str
        Its key in the registry.
    title : str
    formulas : tuple of str
        LaTeX, one line each.
    statement : str
        The same in a plain sentence.
    proof : str
        A sketch: Markdown, with LaTeX between dollar signs.
    sources : tuple of Work
    checked : str
        What is drawn at random, what the sides are, and why they may deviate.
    axes : tuple of str
        Left and right of the comparison that is worth a picture; empty where none is.
    family : str
        Whose error the left side of that comparison is.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    formulas: ClassVar[tuple[str, ...]]
    statement: ClassVar[str]
    proof: ClassVar[str]
    sources: ClassVar[tuple[Work, ...]]
    checked: ClassVar[str]
    axes: ClassVar[tuple[str, ...]] = ()
    family: ClassVar[str] = "localized"

    @property
    def drawn(self) -> str:
        """The comparison that is worth a picture; empty where none is."""
        return " against ".join(self.axes)

    @abstractmethod
    def sides(self, draws: Sequence[Draw]) -> Iterator[Sides]:
        """Yield both sides for the random cases."""

    def structures(self, grid: Grid, rank: int) -> dict[str, Approximation]:
        """Return an approximation of each family that the statement speaks of; empty if of none."""
        return {}

    def check(self, shape: tuple[int, int], blocks: int, rank: int, cases: int, seed: int) -> Check:
        """Compare both sides on random matrices.

        Parameters
        ----------
        shape : (int, int)
            m and n.
        blocks : int
            K, the blocks a side; 2 or more.
        rank : int
            ρ, the rank of a block; from 1 to below its short side, so that it is no full rank.
        cases : int
            How many random matrices.
        seed : int
            The same seed gives the same numbers.

        Raises
        ------
        ValueError
            A grid or a rank that does not fit, or no cases.

        Examples
        --------
        >>> from lolora_core.theory import STATEMENTS
        >>> check = STATEMENTS["contains"].check((12, 8), blocks=2, rank=1, cases=3, seed=0)
        >>> check.holds, check.held, check.total
        (True, 3, 3)
        """
        grid = checked_grid(shape, blocks, rank)
        if cases < 1:
            raise ValueError(f"cases must be 1 or more; it is {cases}")
        draws = [
            Draw(case, grid, rank, np.random.default_rng((seed, case)))
            for case in range(1, cases + 1)
        ]
        # Matrices are small: threads would cost more than they save.
        with one_thread():
            return Check(tuple(self.sides(draws)))


def largest_rank(grid: Grid) -> int:
    """Return the largest rank that is not full in any block.

    Examples
    --------
    >>> largest_rank(Grid.regular((12, 9), 2))
    3
    """
    return int(grid.max_ranks.min()) - 1


def checked_grid(shape: tuple[int, int], blocks: int, rank: int) -> Grid:
    """Return the K×K grid, if a statement can be checked on it at a block rank.

    Raises
    ------
    ValueError
        Fewer than two blocks a side, or a rank outside 1…(short side of a block − 1).

    Examples
    --------
    >>> checked_grid((12, 8), 2, 4)
    Traceback (most recent call last):
    ValueError: rank must be from 1 to 3 where the smallest block is 6×4; it is 4
    """
    if blocks < 2:
        raise ValueError(f"blocks must be 2 or more; it is {blocks}")
    grid = Grid.regular(shape, blocks)
    most = largest_rank(grid)
    if most < 1:
        raise ValueError(
            f"blocks must leave a block two rows and two columns; {grid.label} blocks on a "
            f"{shape[0]}×{shape[1]} matrix do not"
        )
    if not 1 <= rank <= most:
        raise ValueError(
            f"rank must be from 1 to {most} where the smallest block is {grid.row_sizes.min()}×"
            f"{grid.col_sizes.min()}; it is {rank}"
        )
    return grid
