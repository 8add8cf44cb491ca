"""The commands for checkpoints and adapters: survey, extract, resize."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lolora_core.commands.shared import (
    AsJson,
    grid_of,
    print_json,
    print_table,
    progress_bar,
    say,
    sentences,
)
from lolora_core.families import FAMILIES

__all__ = ["register"]

_SOURCE = "A .safetensors file, a folder, or a model id OWNER/NAME[@REVISION]"
Base = Annotated[str, typer.Argument(metavar="BASE", help=f"{_SOURCE}.")]
Tuned = Annotated[str, typer.Argument(metavar="TUNED", help=f"{_SOURCE}, or an adapter folder.")]
Adapter = Annotated[
    str, typer.Argument(metavar="ADAPTER", help="A folder of PEFT (LoRA, GraLoRA) or of ours.")
]
Family = Annotated[str, typer.Option(help=f"{', '.join(FAMILIES)}.")]
Rank = Annotated[int | None, typer.Option(help="Equivalent rank r: r·(m + n) parameters each.")]
Budget = Annotated[int | None, typer.Option(help="Trainable parameters of each matrix.")]
Energy = Annotated[float | None, typer.Option(help="Share of ‖ΔW‖² to keep in each matrix.")]
Error = Annotated[float | None, typer.Option(help="Relative error allowed in each matrix.")]
Shared = Annotated[
    bool, typer.Option("--shared", help="One budget for all matrices: rank goes where it pays.")
]
Grid = Annotated[str, typer.Option(help="K or ROWSxCOLS.")]
Targets = Annotated[
    list[str] | None, typer.Option("--target", help="Module names, as PEFT's; repeatable.")
]
Dtype = Annotated[str, typer.Option(help="float32, float16 or bfloat16.")]
Output = Annotated[Path, typer.Option(help="Folder of the adapter.")]
Peft = Annotated[
    bool, typer.Option("--peft", help="Write a folder for PEFT in place of load_adapters.")
]
Jobs = Annotated[int, typer.Option(help="Matrices at a time; -1 is one for each core.")]


@sentences
def survey_command(
    base: Base,
    tuned: Annotated[
        str | None,
        typer.Argument(metavar="TUNED", help="As BASE; without it BASE is an adapter folder."),
    ] = None,
    rank: Rank = None,
    budget: Budget = None,
    grid: Annotated[list[str] | None, typer.Option(help="K or ROWSxCOLS; repeatable.")] = None,
    output: Annotated[
        Path | None,
        typer.Option(help=".jsonl or .csv: a row at a time; a survey that was stopped goes on."),
    ] = None,
    jobs: Jobs = -1,
    json: AsJson = False,
) -> None:
    """Survey the update of every matrix: how far it moved, its rank, which structure holds it.

    Example: python -m lolora_core survey base.safetensors tuned.safetensors --output survey.csv
    """
    from lolora_core.checkpoints import survey

    try:
        with progress_bar("survey") as progress:
            found = survey(
                None if tuned is None else base,
                base if tuned is None else tuned,
                rank=rank,
                budget=budget,
                grids=[grid_of(text) for text in grid or ["8"]],
                output=output,
                n_jobs=jobs,
                progress=progress,
            )
    except BaseException:
        if output is not None and output.exists():
            say(f"The rows so far are in {output}; the same command goes on from there.")
        raise
    for note in found.notes:
        say(f"Note: {note}.")
    if json:
        print_json({"rows": found.rows, "skipped": found.skipped, "notes": found.notes})
        return
    rows = [{**row, "shape": f"{row['rows']}×{row['cols']}"} for row in found.rows]
    print_table(
        {
            "name": "matrix",
            "shape": "shape",
            "relative_update": "‖ΔW‖/‖W‖",
            "effective_rank": "effective rank",
            "error_global": "error of global",
            "best_family": "best",
            "best_grid": "grid",
            "best_error": "its error",
            "gain": "gain",
        },
        rows,
    )
    _print_skipped(found.skipped)


def _print_skipped(skipped: dict[str, str]) -> None:
    if skipped:
        reasons: dict[str, list[str]] = {}
        for name, reason in skipped.items():
            reasons.setdefault(reason, []).append(name)
        say(f"{len(skipped)} tensors are left out:")
        for reason, names in reasons.items():
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            say(f"  {', '.join(names[:3])}{more}: {reason}")


def _extract(
    base: str | None,
    tuned: str,
    family: str,
    output: Path,
    settings: dict[str, Any],
    dtype: str,
    peft: bool,
    json: bool,
) -> None:
    from lolora_core.checkpoints import extract_adapters, peft_choices, to_peft
    from lolora_core.checkpoints.extract import DTYPES

    if dtype not in DTYPES:
        raise ValueError(f"--dtype must be one of {', '.join(DTYPES)}; it is {dtype!r}")
    if not any(settings[name] is not None for name in ("rank", "budget", "energy", "error")):
        settings = settings | {"rank": 16}
    with progress_bar("extract") as progress:
        found = extract_adapters(
            base, tuned, family=family, dtype=DTYPES[dtype], progress=progress, **settings
        )
    if peft:
        for choice in peft_choices(found.adapters, dtype=DTYPES[dtype]):
            say(f"Possible: {choice.summary}.")
        written = to_peft(found.adapters, output, dtype=DTYPES[dtype])
        say(f"Wrote {output}: {written.summary}.")
    else:
        found.save(output)
        say(
            f"Wrote {output}: {family}, {found.adapters.num_parameters:,} parameters, "
            f"{found.adapters.nbytes:,} bytes."
        )
    if json:
        print_json(
            {
                "folder": str(output),
                "relative_error": found.relative_error,
                "num_parameters": found.adapters.num_parameters,
                "rows": found.rows,
                "skipped": found.skipped,
            }
        )
        return
    rows = [{**row, "shape": f"{row['rows']}×{row['cols']}"} for row in found.rows]
    print_table(
        {
            "name": "module",
            "shape": "shape",
            "num_parameters": "parameters",
            "rank": "largest rank",
            "relative_error": "relative error",
        },
        rows,
    )
    print(f"All modules together: relative error {found.relative_error:.3g}")
    _print_skipped(found.skipped)


@sentences
def extract_command(
    base: Base,
    tuned: Tuned,
    output: Output,
    family: Family = "global",
    rank: Rank = None,
    budget: Budget = None,
    energy: Energy = None,
    error: Error = None,
    shared: Shared = False,
    grid: Grid = "8",
    target: Targets = None,
    dtype: Dtype = "float32",
    peft: Peft = False,
    jobs: Jobs = -1,
    json: AsJson = False,
) -> None:
    """Extract the adapter between two checkpoints, by default of equivalent rank 16.

    Example: python -m lolora_core extract base.safetensors tuned.safetensors --rank 8 --output lora
    --peft
    """
    settings: dict[str, Any] = {"rank": rank, "budget": budget, "energy": energy, "error": error}
    settings |= {"shared": shared, "grid": grid_of(grid), "n_jobs": jobs}
    settings |= {"target_modules": target or "all-linear"}
    _extract(base, tuned, family, output, settings, dtype, peft, json)


@sentences
def resize_command(
    adapter: Adapter,
    output: Output,
    family: Family = "global",
    rank: Rank = None,
    budget: Budget = None,
    energy: Energy = None,
    error: Error = None,
    shared: Shared = False,
    grid: Grid = "8",
    dtype: Dtype = "float32",
    peft: Peft = False,
    jobs: Jobs = -1,
    json: AsJson = False,
) -> None:
    """Resize an adapter: the best one of any family at another budget.

    Example: python -m lolora_core resize lora --family localized --rank 4 --grid 2 --output small
    """
    settings: dict[str, Any] = {"rank": rank, "budget": budget, "energy": energy, "error": error}
    settings |= {"shared": shared, "grid": grid_of(grid), "n_jobs": jobs}
    _extract(None, adapter, family, output, settings, dtype, peft, json)


def register(app: typer.Typer) -> None:
    """Add the commands to an application."""
    app.command("survey")(survey_command)
    app.command("extract")(extract_command)
    app.command("resize")(resize_command)
