"""Where each rank of each block lies in the packed factors, and which blocks share a product."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from lolora_core.blocks.grid import Grid

__all__ = ["BlockLayout", "Stretch"]


class Stretch(NamedTuple):
    """Adjacent block columns (or rows) of one size and one number of ranks: one batched product.

    Attributes
    ----------
    first, blocks : int
        Which block columns or rows.
    start, side : int
        First matrix column or row, and the size of each block.
    slot, slots : int
        First slot of the stretch, and slots in each of its block columns or rows.
    piece, offset : int
        The tensor that holds them, and the row in it where the stretch starts.
    """

    first: int
    blocks: int
    start: int
    side: int
    slot: int
    slots: int
    piece: int
    offset: int


def _stretches(
    sizes: Int[np.ndarray, " K"], totals: Int[np.ndarray, " K"]
) -> tuple[tuple[Stretch, ...], tuple[tuple[int, int], ...]]:
    starts = np.concatenate([[0], np.cumsum(sizes)])
    slots = np.concatenate([[0], np.cumsum(totals)])
    stretches: list[Stretch] = []
    pieces: list[tuple[int, int]] = []
    for size, same_size in groupby(range(len(sizes)), key=lambda k: int(sizes[k])):
        members = list(same_size)
        held = int(totals[members].sum())
        if held == 0:
            continue
        base = int(slots[members[0]])
        for total, same_total in groupby(members, key=lambda k: int(totals[k])):
            first, *others = same_total
            if total:
                slot = int(slots[first])
                stretches.append(
                    Stretch(
                        first=first,
                        blocks=1 + len(others),
                        start=int(starts[first]),
                        side=size,
                        slot=slot,
                        slots=total,
                        piece=len(pieces),
                        offset=slot - base,
                    )
                )
        pieces.append((held, size))
    return tuple(stretches), tuple(pieces)


@dataclass(frozen=True, eq=False)
class BlockLayout:
    """How the factors of a grid and a rank map are packed.

    Every rank of every block is a *slot*: one row of length w_j for A and one of length h_i for
    B. A's slots are ordered by (j, rank, i) and B's by (i, j, rank). Where all ranks are equal,
    B's slots of block row i are then every K_r-th of A's, from i on, so both products read and
    write them in place and nothing is permuted. Otherwise `gather` brings A's order into B's.

    Parameters
    ----------
    grid : Grid
    rank_map : ndarray of int, shape (K_r, K_c)

    Attributes
    ----------
    col_stretches, row_stretches : tuple of Stretch
        The products of A and of B: one each where the grid divides the matrix and ranks are
        equal, two each where the grid does not divide it, never more than K_c and K_r.
    a_pieces, b_pieces : tuple of (int, int)
        Shapes of the tensors that hold A and B: (slots, w) and (slots, h), one for each stretch
        of adjacent blocks of one size.
    strided : bool
        All ranks are equal.
    gather : ndarray of int, shape (slots,) or None
        A's slot for each of B's, where neither equal ranks nor the same order make it needless.

    Examples
    --------
    >>> layout = BlockLayout(Grid.regular((6, 4), 2), np.array([[2, 2], [2, 2]]))
    >>> layout.a_pieces, layout.b_pieces, layout.strided
    (((8, 2),), ((8, 3),), True)
    """

    grid: Grid
    rank_map: Int[np.ndarray, "K_r K_c"]
    col_stretches: tuple[Stretch, ...] = field(init=False)
    row_stretches: tuple[Stretch, ...] = field(init=False)
    a_pieces: tuple[tuple[int, int], ...] = field(init=False)
    b_pieces: tuple[tuple[int, int], ...] = field(init=False)
    strided: bool = field(init=False)
    a_slot_of_b: Int[np.ndarray, " slots"] = field(init=False)

    def __post_init__(self) -> None:
        ranks = self.rank_map
        i, j, r = np.nonzero(np.arange(ranks.max(initial=0)) < ranks[:, :, None])
        a_order = np.lexsort((i, r, j))
        a_slot_of_b = np.empty_like(a_order)
        a_slot_of_b[a_order] = np.arange(len(a_order))
        col_stretches, a_pieces = _stretches(self.grid.col_sizes, ranks.sum(0))
        row_stretches, b_pieces = _stretches(self.grid.row_sizes, ranks.sum(1))
        found = {
            "col_stretches": col_stretches,
            "row_stretches": row_stretches,
            "a_pieces": a_pieces,
            "b_pieces": b_pieces,
            "strided": bool((ranks == ranks[0, 0]).all()),
            "a_slot_of_b": a_slot_of_b,
        }
        for name, value in found.items():
            object.__setattr__(self, name, value)

    @cached_property
    def slots(self) -> int:
        """Σ r_ij."""
        return len(self.a_slot_of_b)

    @cached_property
    def block_rows(self) -> int:
        """K_r."""
        return self.grid.blocks[0]

    @property
    def gather(self) -> Int[np.ndarray, " slots"] | None:
        """A's slot for each of B's; None where no rearrangement is needed."""
        same = np.array_equal(self.a_slot_of_b, np.arange(self.slots))
        return None if self.strided or same else self.a_slot_of_b

    @property
    def num_parameters(self) -> int:
        """Σ r_ij·(h_i + w_j)."""
        return int((self.rank_map * self.grid.costs).sum())

    @property
    def most_rank(self) -> int:
        """The largest rank of ΔW, min(Σ_i min(h_i, Σ_j r_ij), Σ_j min(w_j, Σ_i r_ij)).

        Examples
        --------
        >>> BlockLayout(Grid.regular((6, 4), 2), np.array([[2, 0], [2, 0]])).most_rank
        2
        """
        rows = np.minimum(self.grid.row_sizes, self.rank_map.sum(1)).sum()
        cols = np.minimum(self.grid.col_sizes, self.rank_map.sum(0)).sum()
        return int(min(rows, cols))

    def tensor_shapes(self, *, started: bool = False) -> dict[str, tuple[int, int]]:
        """Return the shapes of the packed tensors by key; with `started` those at the start too.

        Examples
        --------
        >>> BlockLayout(Grid.regular((6, 4), 1), np.array([[2]])).tensor_shapes()
        {'A.0': (2, 4), 'B.0': (2, 6)}
        """
        pieces = {"A": self.a_pieces, "B": self.b_pieces}
        shapes = {f"{n}.{p}": shape for n, held in pieces.items() for p, shape in enumerate(held)}
        return shapes | (
            {f"start.{key}": shape for key, shape in shapes.items()} if started else {}
        )

    def blocks(
        self,
    ) -> Iterator[tuple[tuple[int, int], tuple[int, np.ndarray], tuple[int, np.ndarray]]]:
        """Yield ((i, j), (piece of A, rows in it), (piece of B, rows in it)) of blocks with ranks.

        Examples
        --------
        >>> layout = BlockLayout(Grid.regular((2, 2), 2), np.array([[0, 0], [1, 0]]))
        >>> [(block, int(rows[0])) for block, (_, rows), _ in layout.blocks()]
        [((1, 0), 0)]
        """
        at = 0
        for i, j in np.argwhere(self.rank_map > 0).tolist():
            b_slots = np.arange(at, at + self.rank_map[i, j])
            at += len(b_slots)
            yield (
                (i, j),
                _place(self.col_stretches, j, self.a_slot_of_b[b_slots]),
                _place(self.row_stretches, i, b_slots),
            )


def _place(stretches: tuple[Stretch, ...], block: int, slots: np.ndarray) -> tuple[int, np.ndarray]:
    held = next(s for s in stretches if s.first <= block < s.first + s.blocks)
    return held.piece, slots - held.slot + held.offset
