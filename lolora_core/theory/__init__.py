"""Statements about the families, each with its proof and a check on random matrices.

Examples
--------
>>> check = STATEMENTS["neither"].check((12, 12), blocks=2, rank=2, cases=2, seed=0)
>>> check.holds
True
"""

from __future__ import annotations

from lolora_core.theory.base import Check, Sides, Statement, largest_rank
from lolora_core.theory.best_fit import AdaptiveIsOptimal, EckartYoung
from lolora_core.theory.counting import ParameterCounts, RankBounds
from lolora_core.theory.noise import NoiseLimit, NoiseMean
from lolora_core.theory.reach import ContainsDiagonal, HoldsGlobal, NeitherContains
from lolora_core.theory.works import Work

__all__ = ["STATEMENTS", "Check", "Sides", "Statement", "Work", "largest_rank"]

#: Every statement by name, in the order in which they are shown.
STATEMENTS: dict[str, Statement] = {
    statement.name: statement
    for statement in (
        EckartYoung(),
        ParameterCounts(),
        RankBounds(),
        ContainsDiagonal(),
        HoldsGlobal(),
        NeitherContains(),
        AdaptiveIsOptimal(),
        NoiseMean(),
        NoiseLimit(),
    )
}
