"""Low-rank structures of a matrix at a parameter budget, from global to hybrid.

A family is a grid plus a rank map. The best approximation for both is the truncated SVD of each
block, so one decomposition a grid answers every budget.

Examples
--------
>>> import numpy as np
>>> from lolora_core import approximate, budget_for_rank
>>> budget = budget_for_rank((8, 8), 2)
>>> approximate(np.eye(8), "adaptive", budget=budget, grid=4).num_parameters
32
"""

from lolora_core.approximate import Decomposition, approximate, decompose
from lolora_core.blocks.approximation import Approximation
from lolora_core.blocks.grid import Grid, budget_for_rank, divisor_grids
from lolora_core.explore.advise import Advice, advise
from lolora_core.explore.other_tools import CONVERSIONS
from lolora_core.explore.reorder import Reordering, reorder
from lolora_core.explore.sweep import Sweep, sweep
from lolora_core.families import FAMILIES, Family

__all__ = [
    "CONVERSIONS",
    "FAMILIES",
    "Advice",
    "Approximation",
    "Decomposition",
    "Family",
    "Grid",
    "Reordering",
    "Sweep",
    "advise",
    "approximate",
    "budget_for_rank",
    "decompose",
    "divisor_grids",
    "reorder",
    "sweep",
]
