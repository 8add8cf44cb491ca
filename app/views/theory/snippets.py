"""The lines of Python that make the numbers of Theory again."""

from __future__ import annotations

from app.views.theory.compute import Cases

__all__ = ["check", "drawn", "structures"]


def check(name: str, cases: Cases) -> str:
    """Return the lines of a check: `rows`, both sides in every case.

    Examples
    --------
    >>> print(check("counts", Cases((48, 64), 4, 2, 20, 0)))
    from lolora_core.theory import STATEMENTS
    <BLANKLINE>
    statement = STATEMENTS["counts"]
    check = statement.check(shape=(48, 64), blocks=4, rank=2, cases=20, seed=0)
    rows = check.frame()
    """
    return (
        "from lolora_core.theory import STATEMENTS\n\n"
        f'statement = STATEMENTS["{name}"]\n'
        f"check = statement.check(shape={cases.shape}, blocks={cases.blocks}, rank={cases.rank}, "
        f"cases={cases.cases}, seed={cases.seed})\n"
        "rows = check.frame()"
    )


def drawn(name: str, cases: Cases) -> str:
    """Return the lines of the chart of single cases: `left` and `right`."""
    return (
        f'{check(name, cases)}\nrows = rows[rows["what"] == statement.drawn]\n'
        'left, right = rows["left"], rows["right"]'
    )


def structures(name: str, cases: Cases) -> str:
    """Return the lines of the drawing: `found`, with ranks and parameters, by family."""
    return (
        "from lolora_core import Grid\n"
        "from lolora_core.theory import STATEMENTS\n\n"
        f"grid = Grid.regular({cases.shape}, {cases.blocks})\n"
        f'found = STATEMENTS["{name}"].structures(grid, rank={cases.rank})\n'
        "parameters = {family: a.num_parameters for family, a in found.items()}"
    )
