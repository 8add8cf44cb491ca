"""Training: the tasks, the methods and the loop that adapts small networks, one record a step.

Examples
--------
>>> from lolora_core.training import fine_tune
>>> records = list(fine_tune("digits-rotated", "full", steps=2, device="cpu"))
>>> len(records)
3
"""

from lolora_core.common.devices import resolve_device
from lolora_core.training.compare import (
    MethodComparison,
    Paired,
    compare_methods,
    paired_interval,
)
from lolora_core.training.loop import Run, fine_tune
from lolora_core.training.methods import LEARNING_RATES, METHODS, Method, resolve_method
from lolora_core.training.optimum import optimum
from lolora_core.training.rates import LearningRateSearch, search_lr
from lolora_core.training.records import DivergedError, Record, Snapshot
from lolora_core.training.tasks import TASKS, resolve_task
from lolora_core.training.tasks.base import Data, Problem, Task

__all__ = [
    "LEARNING_RATES",
    "METHODS",
    "TASKS",
    "Data",
    "DivergedError",
    "LearningRateSearch",
    "Method",
    "MethodComparison",
    "Paired",
    "Problem",
    "Record",
    "Run",
    "Snapshot",
    "Task",
    "compare_methods",
    "fine_tune",
    "optimum",
    "paired_interval",
    "resolve_device",
    "resolve_method",
    "resolve_task",
    "search_lr",
]
