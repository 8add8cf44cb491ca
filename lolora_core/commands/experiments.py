"""The commands that take long: reproduce, bench."""

from __future__ import annotations

import json as json_module
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import lolora_core
from lolora_core.commands.shared import (
    AsJson,
    print_json,
    print_table,
    progress_bar,
    say,
    sentences,
)
from lolora_core.common.names import near_names

__all__ = ["register"]


@sentences
def reproduce_command(
    output: Annotated[
        Path, typer.Option(help="Folder for does-it-train-better.json and .md.")
    ] = Path("docs"),
    task: Annotated[
        list[str] | None, typer.Option(help="Only this task; may be given more than once.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Four cells in minutes; prints the verdicts.")
    ] = False,
    runs: Annotated[
        Path | None, typer.Option(help="File that keeps the runs: a stopped experiment goes on.")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes, one torch thread each.")] = 2,
    json: AsJson = False,
) -> None:
    """Reproduce the experiment on how structures train; writes files for the whole alone.

    Example: lolora reproduce --quick
    """
    from lolora_core.training.experiment.protocol import ABLATIONS, CELLS, QUICK
    from lolora_core.training.experiment.reproduce import reproduce
    from lolora_core.training.experiment.store import Store

    cells = QUICK if quick else (*CELLS, *ABLATIONS)
    names = list(dict.fromkeys(cell.task for cell in cells))
    unknown = [name for name in task or () if name not in names]
    if unknown:
        raise ValueError(near_names(unknown[0], names, "task of the experiment"))
    chosen = [cell for cell in cells if not task or cell.task in task]
    whole = not (quick or task or json)
    if whole and not output.is_dir():
        raise ValueError(f"--output must be a folder that is there; {output} is not")
    with progress_bar("reproduce") as progress:
        found = reproduce(
            chosen,
            store=Store(runs),
            n_jobs=jobs,
            told=lambda what, made: progress(made, None, what),
        )
    if json:
        print_json(found)
    elif whole:
        _write(found, output)
    else:
        _print_verdicts(found)


def _write(found: dict[str, Any], output: Path) -> None:
    from lolora_core.files.writes import whole_file
    from lolora_core.training.experiment.report import document

    texts = {".json": json_module.dumps(found, allow_nan=False) + "\n", ".md": document(found)}
    for suffix, text in texts.items():
        path = output / f"does-it-train-better{suffix}"
        with whole_file(path) as draft:
            draft.write_text(text, encoding="utf-8")
        say(f"Wrote {path}.")


def _print_verdicts(found: dict[str, Any]) -> None:
    """Print each comparison beside what the committed experiment says of the same one.

    It is corrected with all others of that experiment, as there.
    """
    from lolora_core.training.experiment.findings import read_experiment
    from lolora_core.training.experiment.verdicts import judged

    try:
        committed = read_experiment()["comparisons"]
    except FileNotFoundError:
        committed = []
    own = {_comparison(row) for row in found["comparisons"]}
    others = [row["p"] for row in committed if _comparison(row) not in own]
    found = {**found, **judged(found, others)}
    before = {_comparison(row): row["outcome"] for row in committed}
    rows = [
        {
            **row,
            "methods": f"{row['first']} − {row['second']}",
            "difference": f"{row['mean']:+.3g} [{row['low']:+.3g}, {row['high']:+.3g}]",
            "committed": before.get(_comparison(row)),
        }
        for row in found["comparisons"]
    ]
    print_table(
        {
            "task": "task",
            "rank": "r",
            "methods": "compared",
            "difference": "mean, 95 % interval",
            "outcome": "outcome",
            "committed": "committed",
        },
        rows,
    )


def _comparison(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[key] for key in ("question", "task", "rank", "first", "second"))


@sentences
def bench_command(
    parts: Annotated[
        list[str] | None, typer.Argument(metavar="PART", help="Which; by default all.")
    ] = None,
) -> None:
    """Run the benchmarks of the repository; they print JSON.

    Example: lolora bench checkpoints
    """
    root = Path(lolora_core.__file__).resolve().parents[1]
    if not (root / "benchmarks" / "__main__.py").is_file():
        raise ValueError(
            "the benchmarks are in the repository, not in the installed package: clone it and run "
            "this command from there"
        )
    command = [sys.executable, "-m", "benchmarks", *(parts or [])]
    raise typer.Exit(subprocess.run(command, cwd=root, check=False).returncode)


def register(app: typer.Typer) -> None:
    """Add the commands to an application."""
    app.command("reproduce")(reproduce_command)
    app.command("bench")(bench_command)
