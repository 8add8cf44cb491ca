"""What the experiment trains: tasks, budgets, methods, seeds. docs/protocol.md says why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lolora_core.families import FAMILIES
from lolora_core.families.diagonal import Diagonal
from lolora_core.families.global_ import Global
from lolora_core.families.localized import Localized
from lolora_core.training.attach import GRADIENT_BATCH, GRADIENT_BATCHES
from lolora_core.training.methods import Method
from lolora_core.training.rates import RATES
from lolora_core.training.tasks import resolve_task

__all__ = [
    "ABLATIONS",
    "ASKED",
    "CELLS",
    "GRID",
    "MARGIN",
    "QUICK",
    "REFERENCES",
    "RIVALS",
    "SEARCH_SEEDS",
    "SEEDS",
    "SPENDS",
    "Cell",
    "chooses_ranks",
    "methods_of",
    "steps_of",
    "tasks_of",
]

#: What the question is about, and what it is compared with.
ASKED, RIVALS = Localized.name, (Global.name, Diagonal.name)
#: Every weight is trained, and none but the head.
REFERENCES = ("full", "frozen")
GRID = 4
SEEDS = tuple(range(10))
SEARCH_SEEDS = (100, 101)
#: A method that spends less of the budget is not compared at that budget.
SPENDS = 0.9
#: A difference below this share of the frozen base's loss does not matter, however sure it is.
MARGIN = 0.01


class Cell(NamedTuple):
    """One task at one budget, and the methods that are trained on it.

    Attributes
    ----------
    task : str
    rank : int
        The equivalent rank r of the budget.
    methods : tuple of str
        By their names; what keeps to no budget is trained once a task.
    steps, evaluations : int, optional
        The task's own by default.
    rates : tuple of float
        Where the search for the learning rate begins.
    """

    task: str
    rank: int
    methods: tuple[str, ...] = tuple(FAMILIES)
    steps: int | None = None
    evaluations: int | None = None
    rates: tuple[float, ...] = RATES


_DIGITS = ("digits-rotated", "digits-shifted", "digits-dark", "digits-noisy", "digits-inverted")
_FITS = ("planted-blocks", "planted-global", "planted-sum", "image")

CELLS = (
    *(Cell(task, rank) for task in _DIGITS for rank in (4, 8, 16, 32)),
    *(Cell(task, rank) for task in _FITS for rank in (4, 8, 16, 32)),
    *(Cell("digits-transformer", rank, steps=150, evaluations=10) for rank in (4, 8, 16)),
    # A step takes a hundred times as long: one epoch, from rates nearer to those of transformers,
    # and at the least budget what the paper compares alone.
    *(
        Cell("docstrings", rank, methods, steps=80, evaluations=4, rates=RATES[:3])
        for rank, methods in ((16, tuple(FAMILIES)), (4, (*RIVALS, ASKED)))
    ),
)

#: What answers the questions that readers ask; beside the families of the same cell.
ABLATIONS = (
    *(
        Cell(task, rank, ("localized-permuted", "blast"))
        for task in ("digits-rotated", "digits-dark", "planted-blocks", "planted-sum")
        for rank in (8, 16)
    ),
    *(
        Cell("digits-rotated", rank, ("localized-fixed-alpha", "localized-rslora"))
        for rank in (4, 8, 16, 32)
    ),
    *(
        Cell(task, 8, ("global-lora-plus", "localized-lora-plus"))
        for task in ("digits-rotated", "digits-dark", "planted-blocks", "planted-global")
    ),
)

#: Cells of the whole experiment that are done in minutes; the numbers are the same.
QUICK = tuple(
    Cell(task, 8, (Global.name, Diagonal.name, Localized.name))
    for task in ("planted-blocks", "planted-global", "digits-rotated", "digits-dark")
)


def methods_of(cell: Cell) -> list[Method]:
    """Return the methods of a cell.

    Examples
    --------
    >>> [method.label for method in methods_of(QUICK[0])]
    ['global r=8', 'diagonal r=8 K=4', 'localized r=8 K=4']
    """
    return [Method(name, rank=cell.rank, grid=GRID) for name in cell.methods]


def chooses_ranks(method: Method) -> bool:
    """Return whether a method chooses its ranks in the gradient, before the first step.

    Examples
    --------
    >>> chooses_ranks(Method("adaptive")), chooses_ranks(Method("localized"))
    (True, False)
    """
    family = method.kind.family
    return bool(family) and FAMILIES[family].init == "gradient"


def steps_of(cell: Cell, method: Method) -> int:
    """Return how many steps a method makes: what it looks at before the first one is taken off.

    So all see the same number of gradients: `adaptive` and `hybrid` choose their ranks in the
    gradient of 4 × 64 examples.

    Examples
    --------
    >>> cell = Cell("digits-rotated", 8)
    >>> steps_of(cell, Method("localized")), steps_of(cell, Method("adaptive"))
    (400, 392)
    """
    task = resolve_task(cell.task)
    steps = task.steps if cell.steps is None else cell.steps
    if not chooses_ranks(method):
        return steps
    return steps - -(-GRADIENT_BATCHES * GRADIENT_BATCH // task.batch)


def tasks_of(cells: Sequence[Cell]) -> dict[str, Cell]:
    """Return the first cell of every task, in order."""
    found: dict[str, Cell] = {}
    for cell in cells:
        found.setdefault(cell.task, cell)
    return found
