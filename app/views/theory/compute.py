"""What the page Theory computes, cached."""

from __future__ import annotations

import threading
from typing import NamedTuple

from cachetools import LRUCache, cached

from lolora_core import Approximation, Grid
from lolora_core.theory import STATEMENTS, Check, largest_rank

__all__ = ["Cases", "checked", "structures"]


class Cases(NamedTuple):
    """What the random cases of every check are.

    Attributes
    ----------
    shape : (int, int)
    blocks : int
        K, blocks a side.
    rank : int
        ρ, of a block.
    cases, seed : int
    """

    shape: tuple[int, int]
    blocks: int
    rank: int
    cases: int
    seed: int

    @property
    def grid(self) -> Grid:
        """The K×K grid."""
        return Grid.regular(self.shape, self.blocks)

    @property
    def most(self) -> int:
        """The largest rank that is not full in any block.

        Examples
        --------
        >>> cases = Cases((16, 20), 4, 2, 5, 0)
        >>> cases.most, cases.fits
        (3, True)
        """
        return largest_rank(self.grid)

    @property
    def fits(self) -> bool:
        """Whether every block has room for the rank."""
        return self.rank <= self.most


@cached(LRUCache(256), condition=threading.Condition())
def checked(name: str, cases: Cases) -> Check:
    """Check a statement."""
    return STATEMENTS[name].check(*cases)


@cached(LRUCache(64), condition=threading.Condition())
def structures(name: str, grid: Grid, rank: int) -> dict[str, Approximation]:
    """Return the structures that a statement speaks of."""
    return STATEMENTS[name].structures(grid, rank)
