"""Variants of the families: each changes one thing, so that a race tells what that thing does."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lolora_core.adapters import AdapterConfig, BlockFactors
from lolora_core.adapters.ranks import Place, term_layouts
from lolora_core.blocks.grid import Grid, budget_for_rank
from lolora_core.common.checks import compute_dtype
from lolora_core.families.global_ import Global
from lolora_core.families.localized import Localized
from lolora_core.training.attach import Attached, GridSize, attach_family
from lolora_core.training.tasks.base import Problem

__all__ = ["ALPHA", "B_SCALE", "VARIANTS", "Blast", "Permuted", "Variant", "blast_rank"]

Attach = Callable[[Problem, int, GridSize, int], Attached]
#: α of the variants that keep it whatever the rank; every family has α = r.
ALPHA = 8.0
#: How many times the learning rate of A that of B is, in LoRA+ (arXiv 2402.12354).
B_SCALE = 16.0


class Variant(NamedTuple):
    """One line of the table.

    Attributes
    ----------
    summary, source : str
    attach : callable
        ``(problem, rank, grid, seed) -> Attached``; changes ``problem.model`` in place.
    family : str
        Whose structure ΔW has; empty where no family has it.
    cut : bool
        Whether it has blocks that no family describes.
    rate : float
        How many times the adapters' learning rate it has by default.
    """

    summary: str
    source: str
    attach: Attach
    family: str = ""
    cut: bool = False
    rate: float = 1.0


class _Update(nn.Module, ABC):
    """A parametrization of a frozen weight: W becomes W + ΔW."""

    def forward(self, weight: Float[Tensor, "m n"]) -> Float[Tensor, "m n"]:
        return weight + self.delta().to(weight.dtype)

    @abstractmethod
    def delta(self) -> Float[Tensor, "m n"]:
        """Return the dense ΔW, in the dtype of the factors."""


class Permuted(_Update):
    """ΔW = P_rᵀ·Δ·P_c: blocks of rows and columns that do not lie side by side.

    Parameters
    ----------
    term : BlockFactors
        Δ, of m×n.
    rows : Tensor of int, shape (m,)
        Row a of ΔW is row ``rows[a]`` of Δ.
    cols : Tensor of int, shape (n,)
        The same of the columns.

    Examples
    --------
    >>> import numpy as np
    >>> from lolora_core.adapters.layout import BlockLayout
    >>> layout = BlockLayout(Grid.regular((4, 4), 2), np.ones((2, 2), dtype=int))
    >>> term = BlockFactors(layout, 1.0, torch.float32, torch.device("cpu"))
    >>> term.set_factors({(0, 0): (torch.ones(2, 1), torch.ones(1, 2))})
    >>> Permuted(term, torch.tensor([0, 2, 1, 3]), torch.arange(4)).delta().detach()
    tensor([[1., 1., 0., 0.],
            [0., 0., 0., 0.],
            [1., 1., 0., 0.],
            [0., 0., 0., 0.]])
    """

    rows: Tensor
    cols: Tensor

    def __init__(
        self, term: BlockFactors, rows: Int[Tensor, " m"], cols: Int[Tensor, " n"]
    ) -> None:
        super().__init__()
        self.term = term
        self.register_buffer("rows", rows)
        self.register_buffer("cols", cols)

    def delta(self) -> Float[Tensor, "m n"]:
        """Return P_rᵀ·Δ·P_c."""
        return self.term.delta()[self.rows][:, self.cols]


class Blast(_Update):
    """ΔW_ij = U_i·diag(s_ij)·V_jᵀ: blocks share factors by row and by column.

    U starts at zero, V at kaiming_uniform(a=√5) per block as the A of the families, so within
    ±1/√w_j, and s at one.

    Parameters
    ----------
    grid : Grid
        Of an m×n matrix, with K_r×K_c blocks of h_i×w_j.
    rank : int
        b, the columns of every U_i and V_j.
    dtype : torch.dtype
    device : torch.device

    Attributes
    ----------
    U : Parameter, shape (m, b)
        The U_i one below the other.
    V : Parameter, shape (n, b)
        The V_j one below the other.
    s : Parameter, shape (K_r, K_c, b)

    References
    ----------
    BLAST, arXiv 2410.21262.

    Examples
    --------
    >>> update = Blast(Grid.regular((6, 4), 2), 3, torch.float32, torch.device("cpu"))
    >>> sum(p.numel() for p in update.parameters()), update.delta().shape
    (42, torch.Size([6, 4]))
    """

    block_of_col: Tensor

    def __init__(self, grid: Grid, rank: int, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__()
        self.heights, widths = grid.row_sizes.tolist(), grid.col_sizes.tolist()
        m, n = grid.shape
        v = torch.empty(n, rank, dtype=dtype, device=device)
        for block in v.split(widths):
            nn.init.kaiming_uniform_(block.T, a=math.sqrt(5))
        self.U = nn.Parameter(torch.zeros(m, rank, dtype=dtype, device=device))
        self.V = nn.Parameter(v)
        self.s = nn.Parameter(torch.ones(*grid.blocks, rank, dtype=dtype, device=device))
        block_of_col = [j for j, width in enumerate(widths) for _ in range(width)]
        self.register_buffer("block_of_col", torch.tensor(block_of_col, device=device))

    def delta(self) -> Float[Tensor, "m n"]:
        """Return ΔW, one row of blocks after the other: U_i·(s_ij ∘ V_j over all j)ᵀ."""
        rows = zip(self.U.split(self.heights), self.s[:, self.block_of_col], strict=True)
        return torch.cat([u @ (s * self.V).T for u, s in rows])


def blast_rank(grid: Grid, rank: int) -> int:
    """Return the largest b with b·(m + n) + K_r·K_c·b ≤ rank·(m + n).

    Raises
    ------
    ValueError
        Not even b = 1 fits; the message names the smallest rank that works.

    References
    ----------
    BLAST, arXiv 2410.21262.

    Examples
    --------
    >>> blast_rank(Grid.regular((128, 128), 4), 8)
    7
    >>> blast_rank(Grid.regular((8, 8), 8), 4)
    Traceback (most recent call last):
    ValueError: rank 4 leaves no rank for the blocks of the 8×8 grid; the smallest rank that \
works is 5
    """
    sides, cost = sum(grid.shape), sum(grid.shape) + math.prod(grid.blocks)
    found = budget_for_rank(grid.shape, rank) // cost
    if not found:
        raise ValueError(
            f"rank {rank} leaves no rank for the blocks of the {grid.label} grid; the smallest "
            f"rank that works is {-(-cost // sides)}"
        )
    return found


def _parametrize(problem: Problem, updates: Mapping[str, _Update]) -> Attached:
    for name, update in updates.items():
        module = problem.model.get_submodule(name)
        parametrize.register_parametrization(module, "weight", update)

    def deltas() -> dict[str, Tensor]:
        return {name: update.delta() for name, update in updates.items()}

    trained = [parameter for update in updates.values() for parameter in update.parameters()]
    return Attached(problem.model, trained, deltas)


def _permuted(problem: Problem, rank: int, grid: GridSize, seed: int) -> Attached:
    config = AdapterConfig(
        family=Localized.name, rank=rank, grid=grid, alpha=rank, target_modules=problem.adapted
    )
    # Of its own, so that A starts as that of localized with the same seed.
    generator = torch.Generator("cpu").manual_seed(seed)
    updates: dict[str, _Update] = {}
    for name, weight in problem.weights().items():
        m, n = weight.shape
        (layout,) = term_layouts(config, Place(name, (m, n)), weight)
        term = BlockFactors(layout, config.scaling, compute_dtype(weight.dtype), weight.device)
        rows, cols = (
            torch.randperm(side, generator=generator, device="cpu").to(weight.device)
            for side in (m, n)
        )
        updates[name] = Permuted(term, rows, cols)
    return _parametrize(problem, updates)


def _blast(problem: Problem, rank: int, grid: GridSize, seed: int) -> Attached:
    updates: dict[str, _Update] = {}
    ranks, budget = set(), 0
    for name, weight in problem.weights().items():
        m, n = weight.shape
        try:
            cut = Grid.resolve(grid, (m, n))
            own = blast_rank(cut, rank)
        except ValueError as error:
            raise ValueError(f"{Place(name, (m, n))}: {error}") from None
        updates[name] = Blast(cut, own, compute_dtype(weight.dtype), weight.device)
        ranks.add(own)
        budget += budget_for_rank((m, n), rank)
    attached = _parametrize(problem, updates)
    low, high = min(ranks), max(ranks)
    return attached._replace(
        size=f"b = {low}" if low == high else f"b = {low}–{high}",
        share=sum(parameter.numel() for parameter in attached.parameters) / budget,
    )


def _of_family(
    family: str, *, alpha: Callable[[int], float] = float, b_scale: float = 1.0
) -> Attach:
    def attach(problem: Problem, rank: int, grid: GridSize, seed: int) -> Attached:
        return attach_family(problem, family, rank, grid, alpha=alpha(rank), b_scale=b_scale)

    return attach


#: In the order in which a page lists them.
VARIANTS: Mapping[str, Variant] = {
    "localized-permuted": Variant(
        "localized, on rows and columns that chance puts into blocks", "this project",
        _permuted, cut=True,
    ),
    "localized-fixed-alpha": Variant(
        f"localized, scaled by α/r with α = {ALPHA:g}", "LoRA, arXiv 2106.09685",
        _of_family(Localized.name, alpha=lambda rank: ALPHA), Localized.name,
    ),
    "localized-rslora": Variant(
        f"localized, scaled by α/√r with α = {ALPHA:g}", "rsLoRA, arXiv 2312.03732",
        # The adapter's scaling is alpha/r.
        _of_family(Localized.name, alpha=lambda rank: ALPHA * math.sqrt(rank)), Localized.name,
    ),
    "localized-lora-plus": Variant(
        f"localized, where B learns {B_SCALE:g} times as fast as A", "LoRA+, arXiv 2402.12354",
        _of_family(Localized.name, b_scale=B_SCALE), Localized.name, rate=B_SCALE**-0.5,
    ),
    "global-lora-plus": Variant(
        f"global, where B learns {B_SCALE:g} times as fast as A", "LoRA+, arXiv 2402.12354",
        _of_family(Global.name, b_scale=B_SCALE), Global.name, rate=B_SCALE**-0.5,
    ),
    "blast": Variant(
        "blocks that share factors by row and by column, each with scales of its own",
        "BLAST, arXiv 2410.21262", _blast, cut=True,
    ),
}  # fmt: skip
