"""Do two adapters clash? In plain words, with the thresholds that decide."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from lolora_core.checkpoints.rows import Row
from lolora_core.common.names import printable
from lolora_core.common.words import percent

__all__ = ["MEETS", "SHARES", "excess", "verdict"]

#: Two updates meet where |cosine| is at least this: ‖A + B‖² is then 10 % off at equal norms.
MEETS = 0.1

#: Two spaces are shared where their overlap beyond chance is at least this.
SHARES = 0.1


def excess(overlap: float | None, random: float | None) -> float:
    """Return (overlap − random)/(1 − random): 0 for chance, 1 for one space; 0 where unknown.

    Examples
    --------
    >>> excess(0.75, 0.5), excess(1.0, 1.0), excess(None, None)
    (0.5, 0.0, 0.0)
    """
    if overlap is None or random is None or random >= 1:
        return 0.0
    return (overlap - random) / (1 - random)


def verdict(total: Mapping[str, float | None], rows: Sequence[Row]) -> str:
    """Say whether two adapters clash when both are applied.

    They clash where |cosine| of the updates is 0.1 or more, over all modules together or in any
    one of them. They may clash where it is not, but in the column spaces and in the row spaces
    the mean squared cosine of the principal angles is a tenth or more of the way from chance to 1.
    Otherwise they do not.

    Parameters
    ----------
    total : mapping
        See `Overlap.total`.
    rows : sequence of dict
        See `Overlap.rows`.

    Examples
    --------
    >>> verdict({"first_norm": 1.0, "second_norm": 2.0, "cosine": 0.0, "sum_norm": 5 ** 0.5}, [])
    'They do not clash: as their names tell, no module is changed by both.'
    """
    first, second = total["first_norm"] or 0.0, total["second_norm"] or 0.0
    if not first or not second:
        return "They do not clash: one of them changes nothing."
    if not rows:
        return "They do not clash: as their names tell, no module is changed by both."
    size = (
        f"‖A + B‖ is {total['sum_norm']:.3g}; it would be {math.hypot(first, second):.3g} if they "
        "did not meet."
    )
    spaces = "They share " + " and ".join(
        f"{percent(total[f'{side}_overlap'] or 0.0)} of their {side} spaces "
        f"({percent(total[f'{side}_random'] or 0.0)} by chance)"
        for side in ("column", "row")
    )
    return f"{_head(total['cosine'] or 0.0, total, rows)} {size} {spaces}."


def _head(cosine: float, total: Mapping[str, float | None], rows: Sequence[Row]) -> str:
    if abs(cosine) >= MEETS:
        how = (
            "pull against each other, and part of each is lost"
            if cosine < 0
            else "push the same way, and what they share is applied twice"
        )
        return f"They clash: over all modules they {how} (cosine {cosine:.2f})."
    met = {row["name"]: float(row["cosine"] or 0.0) for row in rows}
    met = {name: value for name, value in met.items() if abs(value) >= MEETS}
    if met:
        worst, value = max(met.items(), key=lambda item: abs(item[1]))
        return (
            f"They clash in {len(met)} of {len(rows)} shared modules, where the cosine is {MEETS} "
            f"or more in size, most in {printable(str(worst))} ({value:.2f}); over all modules it "
            f"is {cosine:.2f}."
        )
    if all(
        excess(total[f"{side}_overlap"], total[f"{side}_random"]) >= SHARES
        for side in ("column", "row")
    ):
        return (
            f"They may clash: they neither add up nor cancel (cosine {cosine:.2f}), but they "
            "read and write the same directions more than by chance."
        )
    return f"They do not clash: in every shared module the cosine is under {MEETS} in size."
