"""What a race leaves to download beside its adapters: records and settings."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from functools import lru_cache
from typing import Any

import pandas as pd

from app.views.fine_tune.jobs import Race
from lolora_core.training import Record

__all__ = ["records_csv", "records_frame", "records_json"]


def _rows(race: Race) -> list[dict[str, Any]]:
    return [
        {
            "method": lane.method,
            "seed": lane.seed,
            "lr": lane.lr,
            **asdict(record),
            "stopped": lane.outcome is not None and record.step == lane.outcome.stopped_step,
        }
        for lane in race.lanes
        for record in list(lane.records)
    ]


def records_frame(race: Race) -> pd.DataFrame:
    """Return one row a record: method, seed, learning rate, the fields of `Record`, stopped.

    The last says whether early stopping would have stopped the run at this step.
    """
    names = ["method", "seed", "lr", *(field.name for field in fields(Record)), "stopped"]
    return pd.DataFrame(_rows(race), columns=names)


# Of races that have ended, so nothing changes; made once, because the page draws them every run.
@lru_cache(maxsize=8)
def records_csv(race: Race) -> str:
    """Return the records as CSV."""
    return records_frame(race).to_csv(index=False)


@lru_cache(maxsize=8)
def records_json(race: Race) -> str:
    """Return the plan, what every run ended with, and all records as JSON."""
    ends = [
        {
            "method": lane.method,
            "seed": lane.seed,
            "num_parameters": lane.num_parameters,
            "problem": lane.problem or None,
            "test": asdict(lane.outcome) if lane.outcome else None,
        }
        for lane in race.lanes
    ]
    plan = {**asdict(race.plan), "num_steps": race.num_steps}
    return json.dumps({"plan": plan, "runs": ends, "records": _rows(race)}, indent=2)
