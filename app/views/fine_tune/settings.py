"""What a visitor picks on Fine-tune; from most of it a race is made."""

from __future__ import annotations

from typing import Any

from app.shared.common import DEVICE
from app.shared.host import host
from app.shared.settings import Setting
from lolora_core.training import METHODS, TASKS

TASK = Setting(
    "ft_task",
    "digits-rotated",
    "Task",
    "A pretrained base, what it has to learn, and how success is measured.",
    options=tuple(TASKS),
    titles={name: task.title for name, task in TASKS.items()},
)
PICKED = Setting(
    "ft_methods",
    ["global", "diagonal", "localized", "full"],
    "Methods",
    "All train on the same examples in the same order. The families' adapters and their variants "
    "share one budget; full trains every weight, frozen only the head. Those that begin with peft- "
    "are layers of the PEFT package. Those and blast are as large as the budget allows.",
    options=tuple(METHODS),
)
RANK = Setting(
    "ft_rank",
    8,
    "Budget, as equivalent rank r",
    "Each adapted m×n matrix gets r·(m + n) trainable parameters, whatever the family.",
    minimum=1,
    maximum=64,
    step=1,
)
GRID = Setting(
    "ft_grid",
    4,
    "Grid, blocks a side",
    "Each adapted matrix is cut into K×K blocks, for the families that have blocks.",
    minimum=1,
    maximum=16,
    step=1,
)
STEPS = Setting(
    "ft_steps",
    None,
    "Steps",
    "Updates of each method; left empty, the task's own number.",
    minimum=1,
    maximum=host().max_steps,
    step=1,
)
SEED = Setting(
    "ft_seed",
    0,
    "Seed",
    "Draws the training examples, their order and the factors at the start. On the CPU the same "
    "seed gives the same numbers.",
    minimum=0,
    maximum=1_000_000,
    step=1,
)
SEEDS = Setting(
    "ft_seeds",
    1,
    "Number of seeds",
    "The race is run once with each seed from the first on; with two or more, the page says "
    "whether a difference is larger than the spread.",
    minimum=1,
    maximum=10,
    step=1,
)
CURVE = Setting(
    "ft_curve",
    "validation",
    "Loss on",
    "Validation: examples that are not trained on, at every evaluation. Training: the batch of "
    "each step, before its update.",
    options=("validation", "training"),
)
LOG = Setting("ft_log", True, "Logarithmic loss", "Equal steps up the axis are equal factors.")
SCALE = Setting(
    "ft_scale",
    4,
    "Scale of ΔW",
    "One scale serves all methods and steps. Full covers the largest |ΔW|; 1/4 ends at a quarter "
    "of it, and each picture states how much of it lies beyond.",
    options=(1, 2, 4, 8),
    titles={1: "full", 2: "1/2", 4: "1/4", 8: "1/8"},
)


def rate_setting(method: str) -> Setting:
    """Return the setting of a method's peak learning rate; None is the library's own."""
    return Setting(
        f"ft_lr.{method}",
        None,
        method,
        f"Peak learning rate of AdamW for {method}; left empty, the library's own for this task. "
        "Very large ones make the run diverge; the page then says at which step.",
        minimum=1e-6,
        maximum=1e12,
        step=1e-3,
    )


#: What a race is made from.
PLAN = (TASK, PICKED, RANK, GRID, STEPS, SEED, SEEDS, *map(rate_setting, METHODS))

#: What the first story sets: equal budgets, and only blocks can hold what must be learnt.
STORY: tuple[tuple[Setting, Any], ...] = (
    (TASK, "planted-blocks"),
    (PICKED, ["global", "localized"]),
    (RANK, 8),
    (GRID, 4),
    (SEEDS, 3),
)

SETTINGS = (
    TASK,
    PICKED,
    RANK,
    GRID,
    STEPS,
    SEED,
    SEEDS,
    CURVE,
    LOG,
    SCALE,
    DEVICE,
    *map(rate_setting, METHODS),
)
