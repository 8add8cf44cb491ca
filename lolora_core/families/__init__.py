"""The registry of families: each is one file here and one line below."""

from __future__ import annotations

from lolora_core.families.adaptive import Adaptive, adaptive_ranks
from lolora_core.families.base import Family
from lolora_core.families.diagonal import Diagonal, diagonal_ranks
from lolora_core.families.global_ import Global, global_ranks
from lolora_core.families.hybrid import Hybrid
from lolora_core.families.localized import Localized, localized_ranks
from lolora_core.families.ranked import EqualRanks, RankedFamily

__all__ = [
    "FAMILIES",
    "REFERENCE",
    "EqualRanks",
    "Family",
    "RankedFamily",
    "adaptive_ranks",
    "diagonal_ranks",
    "global_ranks",
    "localized_ranks",
    "ranked_families",
    "resolve_family",
]

#: What the others are compared with; on one block all are the same as this.
REFERENCE: EqualRanks = Global()

#: Every family by name, in the order in which they are shown.
FAMILIES: dict[str, Family] = {
    family.name: family for family in (REFERENCE, Diagonal(), Localized(), Adaptive(), Hybrid())
}


def resolve_family(family: str | Family) -> Family:
    """Return the family of that name, or the family itself.

    Raises
    ------
    ValueError
        An unknown name; the message lists the known ones.

    Examples
    --------
    >>> resolve_family("localized").source
    'Localized LoRA, arXiv 2506.00236'
    """
    if isinstance(family, Family):
        return family
    try:
        return FAMILIES[family]
    except (KeyError, TypeError):
        raise ValueError(f"family must be one of {', '.join(FAMILIES)}; it is {family!r}") from None


def ranked_families() -> dict[str, RankedFamily]:
    """Return the families whose errors are read from singular values.

    Examples
    --------
    >>> list(ranked_families())
    ['global', 'diagonal', 'localized', 'adaptive']
    """
    return {name: f for name, f in FAMILIES.items() if isinstance(f, RankedFamily)}
