"""One low-rank product for the whole matrix."""

from __future__ import annotations

from lolora_core.blocks.grid import Grid
from lolora_core.blocks.rank_maps import RankMap
from lolora_core.common.words import percent
from lolora_core.families.base import Win
from lolora_core.families.ranked import EqualRanks, equal_ranks

__all__ = ["Global", "global_ranks"]


def global_ranks(grid: Grid, budget: int) -> RankMap:
    """One block with r = ⌊P/(m + n)⌋, as LoRA (arXiv 2106.09685).

    Examples
    --------
    >>> global_ranks(Grid.regular((8, 8), 1), 50)
    array([[3]])
    """
    whole = grid.whole()
    return equal_ranks(whole, budget, whole.max_ranks > 0)


class Global(EqualRanks):
    """LoRA, arXiv 2106.09685: the structure that the others are compared with."""

    name = "global"
    letter = "G"
    summary = "one low-rank product for the whole matrix"
    formula = r"\hat W = B A, \quad P = r\,(m + n)"
    source = "LoRA, arXiv 2106.09685"
    spans_whole = True

    def explain(self, win: Win) -> str:
        """Say how few singular values hold the energy, and what equal ranks on blocks hold."""
        text = f"{win.few:,} of {win.whole:,} patterns hold 98 % of {win.matrix}."
        kept = win.energies[self.name]
        text += f" The budget pays for {win.rank:,} of them and holds {percent(kept)}."
        # Of those that store nothing the comparison speaks.
        rivals = {n: e for n, e in win.energies.items() if 0 < e < kept}
        if not rivals:
            return text
        best = max(rivals, key=lambda name: rivals[name])
        ranks = win.rank_maps[best]
        each = str(ranks.max()) if ranks.min() == ranks.max() else f"{ranks.min()} to {ranks.max()}"
        return (
            f"{text} Cut into {ranks[0].size:,} blocks, {best} gets rank {each} in each and holds "
            f"{percent(rivals[best])}."
        )

    def peft_settings(self, grid: Grid, num_parameters: int) -> dict[str, int]:
        """``r`` of PEFT's LoRA."""
        rank = num_parameters // sum(grid.shape)
        return {"r": rank} if rank else {}
