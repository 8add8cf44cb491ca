"""The commands for one matrix: approximate, sweep, advise."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lolora_core.commands.shared import (
    AsJson,
    Budget,
    Families,
    FamiliesCommand,
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
    from lolora_core.common.checks import Matrix

__all__ = ["register"]

TargetName = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        help="An id of the catalogue (camera, minilm-0-query, …), a .npy file, an image, or "
        "SOURCE:TENSOR, where SOURCE is a .safetensors file, a folder or a model id.",
    ),
]


def read_target(name: str) -> Matrix:
    """Return the matrix that a TARGET argument names."""
    from lolora_core.files.kinds import kind_of
    from lolora_core.files.pickles import refuse_pickle_name
    from lolora_core.targets import load, upload_image
    from lolora_core.targets.uploads.arrays import read_npy

    refuse_pickle_name(name)
    path = Path(name)
    if name.lower().endswith(".npz"):
        raise ValueError(
            f"{name} is an archive of several arrays; save the one that is wanted as .npy, with "
            "numpy.save"
        )
    if kind_of(name) == "npy":
        array, notes = read_npy(path.read_bytes(), name=name)
        _say_notes(name, notes)
        return array
    if kind_of(name) == "image":
        target = upload_image(path.read_bytes(), name=name)
        _say_notes(name, target.notes)
        return target.array
    parts = _source_and_tensor(name)
    return load(name).array if parts is None else _read_tensor(*parts)


def _say_notes(name: str, notes: Sequence[str]) -> None:
    for note in notes:
        say(f"{name}: {note}")


def _source_and_tensor(name: str) -> tuple[str, str | None] | None:
    """Split SOURCE:TENSOR; either may have colons in it, and a drive of Windows has one.

    Examples
    --------
    >>> _source_and_tensor("C:/models/a.safetensors:params/fc:0")
    ('C:/models/a.safetensors', 'params/fc:0')
    >>> _source_and_tensor("camera") is None
    True
    """
    if Path(name).exists():
        return name, None
    for colon in re.finditer(":", name):
        source, tensor = name[: colon.start()], name[colon.end() :]
        if source and tensor and Path(source).exists():
            return source, tensor
    model = r"[\w.-]+/[\w.-]+(?:@[\w./-]+)?"
    named = re.fullmatch(rf"(.+?\.safetensors|{model}):(.+)", name)
    if named is not None:
        return named[1], named[2]
    return (name, None) if name.endswith(".safetensors") else None


def _read_tensor(where: str, name: str | None) -> Matrix:
    from lolora_core.checkpoints import open_source

    source = open_source(where)
    _say_notes(where, source.notes)
    known = ", ".join(sorted(source.tensors)[:5])
    if name is None:
        if len(source.tensors) > 1:
            raise ValueError(f"{where} holds {known}, …: name one as {where}:TENSOR")
        (name,) = source.tensors
    if name not in source.tensors:
        raise ValueError(f"{where} holds no tensor {name!r}; it holds {known}, …")
    info = source.tensors[name]
    if not info.views:
        raise ValueError(f"{name} of {where} cannot be used: {info.reason}")
    if len(info.shape) > 2:
        axes = "×".join(map(str, info.shape))
        say(f"{name}: the {axes} tensor is read as {info.views[0].label}")
    return source.read(name).reshape(info.views[0].shape)


def _budget(shape: Sequence[int], rank: int | None, budget: int | None) -> int:
    from lolora_core.blocks.grid import budget_for_rank

    if rank is not None and budget is not None:
        raise ValueError("give --rank or --budget, not both")
    return budget_for_rank(shape, 16 if rank is None else rank) if budget is None else budget


@sentences
def approximate(
    target: TargetName,
    family: Families = None,
    rank: Rank = None,
    budget: Budget = None,
    grid: GridOption = "8",
    output: Annotated[
        Path | None, typer.Option(help="Write the factors of one family to this .safetensors file.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Approximate a matrix within a budget, by default 16·(m + n), in every family or some.

    Example: lolora approximate camera --rank 32 --grid 8
    """
    from lolora_core.approximate import decompose
    from lolora_core.families import FAMILIES
    from lolora_core.files.writes import whole_file

    matrix = read_target(target)
    chosen = family or list(FAMILIES)
    if output is not None and len(chosen) != 1:
        raise ValueError("--output writes one family: name it with --family")
    limit = _budget(matrix.shape, rank, budget)
    svd = decompose(matrix, grid_of(grid))
    found = []
    with progress_bar("approximate") as progress:
        for done, name in enumerate(chosen):
            progress(done, len(chosen), name)
            found.append(svd.approximate(name, budget=limit))
    rows = [
        {
            "family": a.family,
            "grid": a.grid.label,
            "relative_error": a.relative_error,
            "energy": a.energy,
            "num_parameters": a.num_parameters,
            "unused_parameters": a.unused_parameters,
            "global_rank": a.global_rank,
        }
        for a in found
    ]
    if output is not None:
        with whole_file(output) as draft:
            found[0].save(draft)
        say(f"Wrote {output}.")
    if json:
        whole = {"target": target, "shape": list(matrix.shape), "budget": limit}
        print_json(whole | {"approximations": rows})
        return
    print(f"{target}, {matrix.shape[0]}×{matrix.shape[1]}, budget {limit:,} parameters")
    print_table(
        {
            "family": "family",
            "relative_error": "relative error",
            "energy": "energy",
            "num_parameters": "parameters",
            "unused_parameters": "unused",
        },
        rows,
    )


def _grids(texts: Sequence[str] | None, shape: Sequence[int]) -> list[tuple[int, int]]:
    from lolora_core.explore.sweep import GRIDS

    return [grid_of(t) for t in texts] if texts else [(k, k) for k in GRIDS if k <= min(shape)]


@sentences
def sweep_command(
    target: TargetName,
    grid: Grids = None,
    family: Families = None,
    output: Annotated[
        Path | None, typer.Option(help="Write every grid, family and budget to this .csv file.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Sweep every grid, family and budget of a matrix from its singular values.

    Example: lolora sweep camera --grid 4 --grid 8 --output sweep.csv
    """
    from lolora_core.explore.sweep import sweep
    from lolora_core.files.writes import whole_file

    matrix = read_target(target)
    if output is not None and output.suffix != ".csv":
        raise ValueError(f"--output must end in .csv; it is {output}")
    with progress_bar("sweep") as progress:
        found = sweep(
            matrix,
            _grids(grid, matrix.shape),
            family,
            progress=lambda done, total: progress(done, total, ""),
        )
    if output is not None:
        with whole_file(output) as draft:
            found.frame().to_csv(draft, index=False)
        say(f"Wrote {output}.")
    if json:
        print_json(found.frame().to_dict("records"))
        return
    sides = sum(found.shape)
    ranks = [r for r in (1, 2, 4, 8, 16, 32, 64, 128, 256) if r * sides <= found.budgets[-1]]
    best = [found.best(r * sides)._asdict() for r in ranks or [1]]
    for row in best:
        row["grid"] = f"{row['grid_rows']}×{row['grid_cols']}"
    print(f"{target}, {found.shape[0]}×{found.shape[1]}: the lowest error at each budget")
    print_table(
        {
            "equivalent_rank": "equivalent rank",
            "budget": "budget",
            "family": "family",
            "grid": "grid",
            "relative_error": "relative error",
            "num_parameters": "parameters",
        },
        best,
    )


@sentences
def advise_command(
    target: TargetName,
    error: Annotated[float | None, typer.Option(help="Relative error to reach.")] = None,
    energy: Annotated[float | None, typer.Option(help="Share of ‖W‖² to capture.")] = None,
    rank: Rank = None,
    budget: Budget = None,
    grid: Grids = None,
    family: Families = None,
    json: AsJson = False,
) -> None:
    """Advise which structure to choose for an error, an energy or a budget.

    Example: lolora advise camera --error 0.1
    """
    from lolora_core.explore.advise import advise

    matrix = read_target(target)
    if rank is not None or budget is not None:
        budget = _budget(matrix.shape, rank, budget)
    advice = advise(
        matrix,
        budget=budget,
        error=error,
        energy=energy,
        grids=_grids(grid, matrix.shape),
        families=family,
    )
    if json:
        print_json(
            {
                "goal": advice.goal,
                "target": advice.target,
                "best": advice.best._asdict(),
                "runner_up": advice.runner_up._asdict() if advice.runner_up else None,
                "margin": advice.margin,
                "global_rank": advice.global_rank,
                "other_tools": advice.other_tools,
                "peft": advice.peft,
                "sentence": str(advice),
            }
        )
        return
    print(advice)


def register(app: typer.Typer) -> None:
    """Add the commands to an application."""
    app.command("approximate", cls=FamiliesCommand)(approximate)
    app.command("sweep", cls=FamiliesCommand)(sweep_command)
    app.command("advise", cls=FamiliesCommand)(advise_command)
