"""The registry of tasks."""

from __future__ import annotations

from lolora_core.common.names import near_names
from lolora_core.training.tasks import (
    digits as digits_tasks,
)
from lolora_core.training.tasks import (
    docstrings as sentence_task,
)
from lolora_core.training.tasks import (
    matrices as matrix_tasks,
)
from lolora_core.training.tasks import (
    openml as openml_tasks,
)
from lolora_core.training.tasks.base import Task

__all__ = ["TASKS", "resolve_task"]

#: Every task by name.
TASKS: dict[str, Task] = {
    task.name: task
    for part in (digits_tasks, matrix_tasks, sentence_task, openml_tasks)
    for task in part.TASKS
}


def resolve_task(task: str | Task) -> Task:
    """Return the task of that name, or the task itself.

    Raises
    ------
    ValueError
        An unknown name; the message offers near ones.
    ModuleNotFoundError
        A task whose package is missing; the message says how to install it.

    Examples
    --------
    >>> resolve_task("imge")
    Traceback (most recent call last):
    ValueError: there is no task 'imge'; did you mean image?
    """
    if not isinstance(task, Task):
        if task not in TASKS:
            raise ValueError(near_names(task, TASKS, "task"))
        task = TASKS[task]
    missing = task.requires()
    if missing:
        raise ModuleNotFoundError(missing)
    return task
