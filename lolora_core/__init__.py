"""Low-rank structures of a matrix at a parameter budget, from global to hybrid.

A family is a grid plus a rank map. The best approximation for both is the truncated SVD of each
block, so one decomposition a grid answers every budget.

Every public name can be imported from here; what it needs is loaded when it is first asked for.
The names are listed in ``__init__.pyi``.

Examples
--------
>>> import numpy as np
>>> from lolora_core import approximate, budget_for_rank
>>> budget = budget_for_rank((8, 8), 2)
>>> approximate(np.eye(8), "adaptive", budget=budget, grid=4).num_parameters
32
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
