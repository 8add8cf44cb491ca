"""The commands for checkpoints and adapters: survey, extract, resize, overlap."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from lolora_core.commands.shared import (
    AsJson,
    Budget,
    FamiliesCommand,
    FamilyOption,
    GridOption,
    Grids,
    Rank,
    grid_of,
    print_json,
    print_table,
    progress_bar,
    say,
    sentences,
)

if TYPE_CHECKING:
    import torch

    from lolora_core.checkpoints import Extraction

__all__ = ["register"]

_SOURCE = "A .safetensors file, a folder, or a model id OWNER/NAME[@REVISION]"
Base = Annotated[str, typer.Argument(metavar="BASE", help=f"{_SOURCE}.")]
Tuned = Annotated[str, typer.Argument(metavar="TUNED", help=f"{_SOURCE}, or an adapter folder.")]
_ADAPTER = "A folder of PEFT (LoRA, GraLoRA) or of ours"
Adapter = Annotated[str, typer.Argument(metavar="ADAPTER", help=f"{_ADAPTER}.")]
Energy = Annotated[float | None, typer.Option(help="Share of ‖ΔW‖² to keep in each matrix.")]
Error = Annotated[float | None, typer.Option(help="Relative error allowed in each matrix.")]
Shared = Annotated[
    bool, typer.Option("--shared", help="One budget for all matrices: rank goes where it pays.")
]
Targets = Annotated[
    list[str] | None, typer.Option("--target", help="Module names, as PEFT's; repeatable.")
]
Excluded = Annotated[
    list[str] | None, typer.Option("--exclude", help="Module names that get none; repeatable.")
]
Dtype = Annotated[str, typer.Option(help="float32, float16 or bfloat16.")]
Output = Annotated[Path, typer.Option(help="Folder of the adapter.")]
Peft = Annotated[
    bool, typer.Option("--peft", help="Write a folder for PEFT in place of load_adapters.")
]
Kohya = Annotated[
    bool, typer.Option("--kohya", help="Write lora.safetensors in kohya's format, for ComfyUI.")
]
Prefix = Annotated[
    str, typer.Option(help="With --kohya: before names that do not tell, lora_unet or lora_te.")
]
Jobs = Annotated[int, typer.Option(help="Matrices at a time; -1 is one for each core.")]


class _TableCommand(TyperCommand):
    """A command whose help ends with what each column of its rows is."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the end of the help page."""
        from lolora_core.checkpoints import COLUMN_HELP, OVERLAP_HELP  # loads torch

        columns = {"survey": COLUMN_HELP, "overlap": OVERLAP_HELP}[self.name or ""]
        with formatter.section("Columns of the rows in full"):
            formatter.write_dl([*columns.items()])


@sentences
def survey_command(
    base: Base,
    tuned: Annotated[
        str | None,
        typer.Argument(metavar="TUNED", help="As BASE; without it BASE is an adapter folder."),
    ] = None,
    rank: Rank = None,
    budget: Budget = None,
    grid: Grids = None,
    intruders: Annotated[
        int,
        typer.Option(
            help="Leading directions of each tuned matrix that are held against the base's, 10 in "
            "arXiv 2410.21228; it takes a full SVD of each base matrix. 0 is none."
        ),
    ] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            help=".jsonl, or .csv with its rows in .csv.jsonl until the survey is complete; one "
            "that was stopped goes on."
        ),
    ] = None,
    jobs: Jobs = -1,
    json: AsJson = False,
) -> None:
    """Survey the update of every matrix: how far it moved, its rank, which structure holds it.

    Example: lolora survey base.safetensors tuned.safetensors --output survey.csv
    """
    from lolora_core.checkpoints import survey
    from lolora_core.checkpoints.rows import rows_path

    try:
        with progress_bar("survey") as progress:
            found = survey(
                None if tuned is None else base,
                base if tuned is None else tuned,
                rank=rank,
                budget=budget,
                grids=[grid_of(text) for text in grid or ["8"]],
                intruders=intruders,
                output=output,
                n_jobs=jobs,
                progress=progress,
            )
    except BaseException:
        if output is not None and (kept := rows_path(output)).exists():
            say(f"The rows so far are in {kept}; the same command goes on from there.")
        raise
    for note in found.notes:
        say(f"Note: {note}.")
    if json:
        print_json({"rows": found.rows, "skipped": found.skipped, "notes": found.notes})
        return
    rows = [{**row, "shape": f"{row['rows']}×{row['cols']}"} for row in found.rows]
    counts = {
        "dead_ranks": "dead ranks",
        "intruders": "intruders",
        "intruders_random": "of random ΔW",
    }
    print_table(
        {
            "name": "matrix",
            "shape": "shape",
            "relative_update": "‖ΔW‖/‖W‖",
            "effective_rank": "effective rank",
            "stable_rank": "stable rank",
            "first_singular_share": "σ₁/Σσ",
            **{key: word for key, word in counts.items() if any(r[key] is not None for r in rows)},
            "error_global": "error of global",
            "best_family": "best",
            "best_grid": "grid",
            "best_error": "its error",
            "gain": "gain",
        },
        rows,
    )
    _print_skipped(found.skipped)


def _print_skipped(skipped: dict[str, str], changes: dict[str, float] | None = None) -> None:
    if skipped:
        reasons: dict[str, list[str]] = {}
        for name, reason in skipped.items():
            reasons.setdefault(reason, []).append(name)
        say(f"{len(skipped)} tensors are left out:")
        for reason, names in reasons.items():
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            known = [(changes or {})[name] for name in names if name in (changes or {})]
            size = f", {_size_of(known)}" if any(known) else ""
            say(f"  {', '.join(names[:3])}{more}: {reason}{size}")


def _size_of(changes: list[float]) -> str:
    """Say how large changes are together, in words where one is not finite.

    Examples
    --------
    >>> _size_of([3.0, 4.0]), _size_of([3.0, math.nan])
    ('‖change‖ 5', '‖change‖ not known, for a value is not finite')
    """
    size = math.hypot(*changes)
    return (
        f"‖change‖ {size:.3g}"
        if math.isfinite(size)
        else ("‖change‖ not known, for a value is not finite")
    )


def _write_peft(found: Extraction, output: Path, dtype: torch.dtype) -> None:
    """Write a folder for PEFT; for a pipeline one for each of its models."""
    from lolora_core.adapters.peft_names import by_component
    from lolora_core.adapters.peft_verify import why_not_verified
    from lolora_core.checkpoints import peft_choices, to_peft

    parts = by_component(found.adapters)
    for component, adapters in parts.items():
        folder = output / component if len(parts) > 1 else output
        for choice in peft_choices(adapters, dtype=dtype):
            say(f"Possible: {choice.summary}.")
        written = to_peft(adapters, folder, dtype=dtype, base_config=found.base_config)
        say(f"Wrote {folder}: {written.summary}.")
        say(
            f"Not opened with PEFT: {why_not_verified(found.base_config)}."
            if written.verified is None
            else f"PEFT opens it and applies the same ΔW, to {written.verified:.1g} of its norm."
        )


def _write_adapter(
    base: str | None,
    tuned: str,
    target_modules: list[str] | str,
    *,
    output: Output,
    exclude: Excluded = None,
    family: FamilyOption = "global",
    rank: Rank = None,
    budget: Budget = None,
    energy: Energy = None,
    error: Error = None,
    shared: Shared = False,
    grid: GridOption = "8",
    dtype: Dtype = "float32",
    peft: Peft = False,
    kohya: Kohya = False,
    prefix: Prefix = "lora_unet",
    jobs: Jobs = -1,
    json: AsJson = False,
) -> None:
    from lolora_core.adapters.kohya_write import to_kohya
    from lolora_core.checkpoints import extract_adapters
    from lolora_core.checkpoints.extract import DTYPES

    if peft and kohya:
        raise ValueError("give --peft or --kohya, not both")
    if dtype not in DTYPES:
        raise ValueError(f"--dtype must be one of {', '.join(DTYPES)}; it is {dtype!r}")
    size: dict[str, Any] = {"rank": rank, "budget": budget, "energy": energy, "error": error}
    if all(value is None for value in size.values()):
        size["rank"] = 16
    with progress_bar("extract") as progress:
        found = extract_adapters(
            base,
            tuned,
            family=family,
            grid=grid_of(grid),
            target_modules=target_modules,
            exclude_modules=exclude or (),
            shared=shared,
            dtype=DTYPES[dtype],
            n_jobs=jobs,
            progress=progress,
            **size,
        )
    for note in found.notes:
        say(f"Note: {note}.")
    if kohya:
        file = output / "lora.safetensors"
        error = to_kohya(found.adapters, file, prefix=prefix, dtype=DTYPES[dtype])
        say(f"Wrote {file}: a LoRA in kohya's format, relative error {error:.3g}.")
    elif peft:
        _write_peft(found, output, DTYPES[dtype])
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
                "whole_relative_error": found.whole_relative_error,
                "num_parameters": found.adapters.num_parameters,
                "rows": found.rows,
                "skipped": found.skipped,
                "changes": found.changes,
                "notes": found.notes,
            }
        )
        return
    rows = [{**row, "shape": f"{row['rows']}×{row['cols']}"} for row in found.rows]
    print_table(
        {
            "name": "module",
            "kind": "kind",
            "shape": "shape",
            "num_parameters": "parameters",
            "rank": "largest rank",
            "relative_error": "relative error",
        },
        rows,
    )
    print(f"The {len(rows)} modules with an adapter: relative error {found.relative_error:.3g}")
    moved = sum(change != 0 for change in found.changes.values())
    if math.isnan(found.whole_relative_error):
        print("All modules together: not known, for a tensor without an adapter is not finite")
    elif moved:
        print(
            f"All modules together, the {moved} changed tensors without an adapter counted: "
            f"relative error {found.whole_relative_error:.3g}"
        )
    _print_skipped(found.skipped, found.changes)


def _with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Put the options of `_write_adapter` where a command says ``**options``."""
    own = list(inspect.signature(command, eval_str=True).parameters.values())[:-1]
    written = inspect.signature(_write_adapter, eval_str=True).parameters.values()
    options = [parameter for parameter in written if parameter.kind is parameter.KEYWORD_ONLY]
    whole = inspect.Signature([*own, *options])
    command.__signature__ = whole  # type: ignore[attr-defined]  # typer reads both
    command.__annotations__ = {name: p.annotation for name, p in whole.parameters.items()}
    return command


@sentences
@_with_options
def extract_command(base: Base, tuned: Tuned, target: Targets = None, **options: Any) -> None:
    """Extract the adapter between two checkpoints, by default of equivalent rank 16.

    Example: lolora extract base.safetensors tuned.safetensors --rank 8 --output lora --peft
    """
    _write_adapter(base, tuned, target or "all-linear", **options)


@sentences
@_with_options
def resize_command(adapter: Adapter, **options: Any) -> None:
    """Resize an adapter: the best one of any family at another budget.

    Example: lolora resize lora --family localized --rank 4 --grid 2 --output small
    """
    _write_adapter(None, adapter, "all-linear", **options)


@sentences
def overlap_command(
    first: Annotated[str, typer.Argument(metavar="A", help=f"{_ADAPTER}.")],
    second: Annotated[str, typer.Argument(metavar="B", help=f"{_ADAPTER}, of the same model.")],
    jobs: Jobs = -1,
    json: AsJson = False,
) -> None:
    """Compare two adapters: the directions they share, and whether they clash when both apply.

    Example: lolora overlap lora other
    """
    from lolora_core.checkpoints import overlap

    with progress_bar("overlap") as progress:
        found = overlap(first, second, n_jobs=jobs, progress=progress)
    for note in found.notes:
        say(f"Note: {note}.")
    if json:
        print_json(
            {
                "verdict": found.verdict,
                "total": found.total,
                "rows": found.rows,
                "only_first": found.only_first,
                "only_second": found.only_second,
                "skipped": found.skipped,
                "notes": found.notes,
            }
        )
        return
    rows = [{**row, "shape": f"{row['rows']}×{row['cols']}"} for row in found.rows]
    print_table(
        {
            "name": "matrix",
            "shape": "shape",
            "first_rank": "rank of A",
            "second_rank": "rank of B",
            "first_norm": "‖A‖",
            "second_norm": "‖B‖",
            "sum_norm": "‖A + B‖",
            "cosine": "cosine",
            "column_overlap": "columns shared",
            "column_random": "by chance",
            "row_overlap": "rows shared",
            "row_random": "by chance",
        },
        [*rows, {"name": "all modules", "shape": "", **found.total}],
    )
    for letter, names in (("A", found.only_first), ("B", found.only_second)):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            say(f"Only in {letter}: {', '.join(names[:3])}{more}")
    _print_skipped(found.skipped)
    print(found.verdict)


def register(app: typer.Typer) -> None:
    """Add the commands to an application."""
    app.command("survey", cls=_TableCommand)(survey_command)
    app.command("extract", cls=FamiliesCommand)(extract_command)
    app.command("resize", cls=FamiliesCommand)(resize_command)
    app.command("overlap", cls=_TableCommand)(overlap_command)
