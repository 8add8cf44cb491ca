"""Which adapter a visitor wants of a pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["AdapterPlan"]


@dataclass(frozen=True)
class AdapterPlan:
    """Which adapter to make.

    Attributes
    ----------
    family : str
    blocks : (int, int)
        The grid.
    spend : str
        "each matrix", "shared" or "energy".
    rank : int
        Equivalent rank for each matrix, unless an energy is to be kept; and that of a truncated
        LoRA.
    energy : float
        Share of ‖ΔW‖² to keep of each matrix, if `spend` is "energy".
    dtype : str
    """

    family: str
    blocks: tuple[int, int]
    spend: str
    rank: int
    energy: float
    dtype: str

    @property
    def key(self) -> tuple[Any, ...]:
        """Identify the plan by what it uses."""
        energy = self.energy if self.spend == "energy" else None
        return self.family, self.blocks, self.spend, self.rank, energy, self.dtype
