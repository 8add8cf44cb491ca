"""What the commands have in common: options, errors as sentences, tables, JSON, progress."""

from __future__ import annotations

import functools
import json
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from typer.core import TyperCommand, TyperOption

__all__ = [
    "INTERRUPTED",
    "REFUSED",
    "AsJson",
    "Budget",
    "Families",
    "FamiliesCommand",
    "FamilyOption",
    "GridOption",
    "Grids",
    "Rank",
    "grid_of",
    "print_json",
    "print_table",
    "progress_bar",
    "say",
    "sentences",
]

REFUSED = 2
INTERRUPTED = 130

_GRID = "K or ROWSxCOLS"
_FAMILIES = "FAMILIES"

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, to stdout.")]
Rank = Annotated[int | None, typer.Option(help="Equivalent rank r: r·(m + n) parameters a matrix.")]
Budget = Annotated[int | None, typer.Option(help="Trainable parameters a matrix.")]
GridOption = Annotated[str, typer.Option(help=f"{_GRID}.")]
Grids = Annotated[list[str] | None, typer.Option("--grid", help=f"{_GRID}; repeatable.")]
FamilyOption = Annotated[str, typer.Option(help=f"{_FAMILIES}.")]
Families = Annotated[list[str] | None, typer.Option("--family", help=f"{_FAMILIES}; repeatable.")]

P = ParamSpec("P")
R = TypeVar("R")


class FamiliesCommand(TyperCommand):
    """A command whose help names the families, which are asked for only when it is shown."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help page."""
        from lolora_core.families import FAMILIES  # loads torch

        for parameter in self.params:
            if isinstance(parameter, TyperOption) and parameter.help:
                parameter.help = parameter.help.replace(_FAMILIES, ", ".join(FAMILIES))
        super().format_help(ctx, formatter)


def sentences(command: Callable[P, R]) -> Callable[P, R]:
    """End a command that fails with a sentence and exit code 2, or 130 after Ctrl-C."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except KeyboardInterrupt:
            say("Stopped. Nothing is half-written.")
            raise typer.Exit(INTERRUPTED) from None
        except (ValueError, TypeError, KeyError, OSError, ImportError, MemoryError) as error:
            say(f"Error: {_sentence(error)}")
            raise typer.Exit(REFUSED) from None

    return run


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, MemoryError):
        return "there is not enough memory for this matrix"
    return str(error) or type(error).__name__


def say(text: str) -> None:
    """Print a line to stderr."""
    print(text, file=sys.stderr, flush=True)


def grid_of(text: str) -> tuple[int, int]:
    """Return (K_r, K_c) of "8" or "8x4".

    Examples
    --------
    >>> grid_of("8"), grid_of("8x4")
    ((8, 8), (8, 4))
    """
    named = re.fullmatch(r"(\d{1,6})(?:[x×](\d{1,6}))?", text.strip())
    if named is None:
        raise ValueError(f"a grid is K or ROWSxCOLS, such as 8 or 8x4; it is {text!r}")
    return int(named[1]), int(named[2] or named[1])


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def print_json(value: Any) -> None:
    """Print JSON to stdout; NaN and infinity are null."""
    print(json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def print_table(columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows to stdout under the headings that `columns` gives to their keys."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for key, heading in columns.items():
        number = any(isinstance(row.get(key), int | float) for row in rows)
        table.add_column(heading, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(_cell(row.get(key)) for key in columns))
    # A pipe has no width; there every column is kept whole.
    Console(width=None if sys.stdout.isatty() else 400, highlight=False).print(table)


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int | None, str], None]]:
    """Show a bar on stderr where that is a terminal; yields ``progress(done, total, name)``.

    A total that is not known is None.
    """
    console = Console(stderr=True)
    bar = Progress(
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[name]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task(what, total=None, name="")

        def report(done: int, total: int | None, name: str) -> None:
            bar.update(task, completed=done, total=total, name=name)

        yield report
