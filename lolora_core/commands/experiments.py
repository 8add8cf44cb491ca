"""The commands that take long: reproduce, bench."""

from __future__ import annotations

import json as json_module
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

import lolora_core
from lolora_core.commands.shared import (
    AsJson,
    print_json,
    progress_bar,
    say,
    sentences,
)

__all__ = ["register"]


@sentences
def reproduce_command(
    output: Annotated[
        Path, typer.Option(help="Folder for does-it-train-better.json and .md.")
    ] = Path("docs"),
    jobs: Annotated[int, typer.Option(help="Processes, one torch thread each.")] = 2,
    json: AsJson = False,
) -> None:
    """Reproduce the experiment that compares how the families train; --json writes no file.

    Example: lolora reproduce --output results
    """
    from lolora_core.files.writes import whole_file
    from lolora_core.training.reproduce import reproduce, table

    if not json and not output.is_dir():
        raise ValueError(f"--output must be a folder that is there; {output} is not")
    with progress_bar("reproduce") as progress:
        found = reproduce(n_jobs=jobs, progress=lambda done, total: progress(done, total, ""))
    if json:
        print_json(found)
        return
    texts = {".json": json_module.dumps(found, indent=1) + "\n", ".md": table(found)}
    for suffix, text in texts.items():
        path = output / f"does-it-train-better{suffix}"
        with whole_file(path) as draft:
            draft.write_text(text, encoding="utf-8")
        say(f"Wrote {path}.")


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
