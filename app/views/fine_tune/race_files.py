"""What a race leaves to download: records, settings, adapters."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from dataclasses import asdict, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from safetensors.torch import save

from lolora_core import FAMILIES
from lolora_core.adapters import save_adapters
from lolora_core.training import Record, Run

if TYPE_CHECKING:
    from app.views.fine_tune.jobs import Race
    from app.views.fine_tune.lanes import Plan

__all__ = ["adapter_zip", "records_csv", "records_frame", "records_json"]


def _rows(race: Race) -> list[dict[str, Any]]:
    return [
        {"method": lane.method, "seed": lane.seed, "lr": lane.lr, **asdict(record)}
        for lane in race.lanes
        for record in list(lane.records)
    ]


def records_frame(race: Race) -> pd.DataFrame:
    """Return one row a record: method, seed, learning rate, then the fields of `Record`."""
    names = ["method", "seed", "lr", *(field.name for field in fields(Record))]
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


def adapter_zip(run: Run, plan: Plan) -> bytes:
    """Return a ZIP of what a run has trained, with the plan.

    A family's adapter is the folder that `load_adapters` opens; of every other method, ΔW of each
    module is in ``delta.safetensors``. A head that was trained besides is in
    ``head.safetensors``.
    """
    out = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(out, "w") as archive:
        if run.method.name in FAMILIES:
            save_adapters(run.model, folder)
            for path in sorted(Path(folder).iterdir()):
                archive.write(path, path.name)
        else:
            deltas = {n: d.detach().cpu().contiguous() for n, d in run.deltas().items()}
            archive.writestr("delta.safetensors", save(deltas))
        head = {
            f"{name}.{part}": tensor.detach().cpu().contiguous()
            for name in run.problem.head
            for part, tensor in run.model.get_submodule(name).state_dict().items()
        }
        if head:
            archive.writestr("head.safetensors", save(head))
        archive.writestr("plan.json", json.dumps(asdict(plan), indent=2))
    return out.getvalue()
