"""The sentences of Theory."""

from __future__ import annotations

from app.shared.words import join_words, three_digits
from app.views.theory.compute import Cases
from lolora_core import Approximation
from lolora_core.theory import Check, Sides, Work

__all__ = [
    "COLUMNS",
    "SYMBOLS",
    "TO_SCALE",
    "against",
    "blocks",
    "introduction",
    "means",
    "sources",
    "structure",
    "too_large",
    "verdict",
]

SYMBOLS = r"""
| symbol | meaning |
| --- | --- |
| $W$ | the matrix to approximate, $m$ rows and $n$ columns |
| $\hat W$ | its approximation |
| $W_{ij}$ | the block in block row $i$ and block column $j$, $h$ rows and $w$ columns |
| $K$ | blocks a side; $K_r$ block rows and $K_c$ block columns |
| $B,\ A$ | the two factors of a product: $B$ is tall, $A$ is wide |
| $r,\ \rho$ | rank of the one product of global; rank of a block |
| $r_{ij},\ R$ | rank of block $(i,j)$; all of them, the rank map |
| $P$ | the budget: how many numbers may be learned |
| $\sigma_k$ | singular values, largest first: how much each rank-one pattern weighs |
| SVD | $W$ as a sum of such patterns, $\sum_k\sigma_k u_k v_k^\top$; truncated: the first ones |
| $\lVert W\rVert_F$ | square root of the sum of all squared entries |
| $\varepsilon$ | relative error, $\lVert W-\hat W\rVert_F/\lVert W\rVert_F$ |
| $\mathbb E$ | the mean over random matrices |
"""
TO_SCALE = (
    "Drawn to scale: grey is the matrix, cut into blocks; beside each block its tall strip B, "
    "above it its wide strip A. The coloured area is the number of parameters."
)
COLUMNS = {
    "case": "Which random matrix.",
    "what is compared": "What left and right are; the caption above says how they are measured.",
    "left": "Left side of the statement, as the library computes it.",
    "relation": "= both sides agree; ≤ left is at most right; ≈ left is a mean and right its limit "
    "for large blocks.",
    "right": "Right side of the statement.",
    "deviation": "How far the two are from their relation: |left − right|, or for ≤ how much left "
    "is above right.",
    "holds": "Whether the deviation is within what is allowed.",
}


def introduction(count: int, cases: Cases) -> str:
    r"""Say what the page is, and what the checks draw.

    Examples
    --------
    >>> print(introduction(9, Cases((48, 64), 4, 2, 20, 0)).split("\n\n")[1])
    Each check draws 20 random matrices of 48 × 64, cut into 4 × 4 blocks of rank 2 (see sidebar).
    """
    (m, n), k = cases.shape, cases.blocks
    return (
        f"**You need not take our word for it.** Here are {count} statements about the families, "
        "with a proof of a few lines. “Check it” draws random matrices and compares both sides: "
        "a wrong statement would show.\n\n"
        f"Each check draws {cases.cases} random matrices of {m} × {n}, cut into {k} × {k} blocks "
        f"of rank {cases.rank} (see sidebar)."
    )


def blocks(cases: Cases) -> str:
    """Say what the settings amount to.

    Examples
    --------
    >>> blocks(Cases((48, 64), 4, 2, 20, 0))
    'Blocks of 12 × 16. At the matched budget global has rank r = 8, and both have 896 parameters.'
    """
    grid, r = cases.grid, cases.blocks * cases.rank
    heights, widths = (
        "–".join(str(side) for side in sorted(set(sizes.tolist())))
        for sizes in (grid.row_sizes, grid.col_sizes)
    )
    return (
        f"Blocks of {heights} × {widths}. At the matched budget global has rank r = {r}, and both "
        f"have {r * sum(cases.shape):,} parameters."
    )


def too_large(cases: Cases) -> str:
    """Say that a block has no room for its rank."""
    grid = cases.grid
    return (
        f"The smallest block is {grid.row_sizes.min()} × {grid.col_sizes.min()}. With rank "
        f"{cases.rank} nothing is left to approximate; choose at most {cases.most}."
    )


def sources(works: tuple[Work, ...]) -> str:
    """Name the works, with links where they are at arXiv.

    Examples
    --------
    >>> print(sources((Work("LoRA", "2106.09685"), Work("Mirsky 1960"))))
    :small[Sources: LoRA, [arXiv 2106.09685](https://arxiv.org/abs/2106.09685) · Mirsky 1960]
    """
    named = [
        f"{work.title}, [arXiv {work.arxiv}]({work.address})" if work.arxiv else work.title
        for work in works
    ]
    return f":small[Source{'s' if len(named) > 1 else ''}: {' · '.join(named)}]"


def structure(found: Approximation) -> tuple[str, str]:
    """Say which ranks a structure has, and what they cost.

    Examples
    --------
    >>> import numpy as np
    >>> from lolora_core import approximate
    >>> structure(approximate(np.eye(8), "localized", budget=32, grid=2))
    ('rank 1 in each of 4 blocks', '32 parameters')
    """
    ranks = found.rank_map[found.rank_map > 0]
    low, high = int(ranks.min()), int(ranks.max())
    rank = f"rank {low}" if low == high else f"ranks {low}–{high}"
    cost = f"{found.num_parameters:,} parameters"
    if found.global_rank:
        return f"one product of {rank}", cost
    return f"{rank} in each of {ranks.size} blocks", cost


def _number(value: float) -> str:
    # A minus sign, unlike a hyphen, ends no line.
    return f"{value:.1g}".replace("-", "−") if value < 1e-3 else three_digits(value)


def _at(sides: Sides) -> str:
    what = sides.what if sides.case == 0 else f"case {sides.case}, {sides.what}"
    return (
        f"{what}: {sides.left:.4g} {sides.relation} {sides.right:.4g} is wrong "
        f"({_number(sides.tolerance)} may deviate)"
    )


def verdict(check: Check, cases: int) -> str:
    """Say whether a statement held, and how closely.

    Examples
    --------
    >>> verdict(Check((Sides(1, "error", 1e-15, "=", 0.0, 1e-12),)), 1)
    'Held in 1 of 1 case; largest deviation 1e−15, where 1e−12 is allowed.'
    >>> print(verdict(Check((Sides(1, "rank", 3, "≤", 2, 0),)), 1))
    Failed in 1 of 1 case. The furthest is case 1, rank: 3 ≤ 2 is wrong (0 may deviate).
    """
    word = "case" if check.total == 1 else "cases"
    if check.of_means:
        word = f"comparisons; each left side is a mean over {cases} matrices"
    if not check.holds:
        failed = check.total - check.held
        return f"Failed in {failed} of {check.total} {word}. The furthest is {_at(check.worst)}."
    held = f"Held in {check.held} of {check.total} {word}"
    if check.largest_deviation == 0:
        return f"{held}; nothing deviates."
    allowed = _number(check.worst.tolerance)
    return (
        f"{held}; largest deviation {_number(check.largest_deviation)}, where {allowed} is allowed."
    )


def _span(values: list[float]) -> str:
    return f"from {three_digits(min(values))} to {three_digits(max(values))}"


def against(check: Check, drawn: str) -> str:
    """Say what the chart of single cases shows.

    Examples
    --------
    >>> check = Check((Sides(1, "a", 0.5, "≤", 0.6), Sides(2, "a", 0.7, "≤", 0.9)))
    >>> against(check, "a").split(". ")[1]
    'The left side, from 0.500 to 0.700, goes up; the right side, from 0.600 to 0.900, goes across'
    >>> against(check, "a").split(". ")[2]
    'On the line both are equal; below it the left side is smaller, here by 0.100 to 0.200.'
    """
    sides = [one for one in check.sides if one.what == drawn]
    below = [one.right - one.left for one in sides]
    low, high = _number(max(min(below), 0.0)), _number(max(max(below), 0.0))
    if max(map(abs, below)) <= sides[0].tolerance:
        where = "all points are on it."
    else:
        where = f"below it the left side is smaller, here by {low} to {high}."
    return (
        f"A point is a case: {drawn}. The left side, {_span([s.left for s in sides])}, goes up; "
        f"the right side, {_span([s.right for s in sides])}, goes across. On the line both are "
        f"equal; {where}"
    )


def means(check: Check) -> str:
    """Say what the chart of means shows."""
    each = [f"{one.what} {three_digits(one.left)}" for one in check.sides]
    rights = {three_digits(one.right) for one in check.sides}
    right = f"the right side {join_words(sorted(rights))}"
    return f"Share of the energy that is lost. The means: {join_words(each)}; {right}."
