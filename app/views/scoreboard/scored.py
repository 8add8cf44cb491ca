"""The rows of one target, as a process of the pool makes them: without what draws them."""

from __future__ import annotations

import pandas as pd

from lolora_core.explore.scoreboard import scoreboard
from lolora_core.targets import Target

__all__ = ["scored"]


def scored(target: Target) -> pd.DataFrame:
    """Return the rows of a target; none where no grid fits it."""
    found = list(scoreboard([target]))
    return pd.concat(found) if found else pd.DataFrame()
