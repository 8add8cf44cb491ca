"""The adapter that a run has trained, as a file."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import save

from app.views.fine_tune.lanes import RacePlan
from lolora_core.adapters import AdapterLinear, save_adapters
from lolora_core.training import Run

__all__ = ["adapter_zip"]


def adapter_zip(run: Run, plan: RacePlan) -> bytes:
    """Return a ZIP of what a run has trained, with the plan.

    An adapter of this library is the folder that `load_adapters` opens; of every other method, ΔW
    of each module is in ``delta.safetensors``. A head that was trained besides is in
    ``head.safetensors``.
    """
    out = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(out, "w") as archive:
        if any(isinstance(module, AdapterLinear) for module in run.model.modules()):
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
