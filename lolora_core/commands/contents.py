"""The command that says what a file is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lolora_core.commands.shared import AsJson, print_json, print_table, sentences
from lolora_core.files.found import find_local

if TYPE_CHECKING:
    from lolora_core.checkpoints import Contents

__all__ = ["register"]

_SHOWN_SHAPES = 3


@sentences
def what_command(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...", help="Files, folders, or model ids OWNER/NAME[@REVISION]."
        ),
    ],
    json: AsJson = False,
) -> None:
    """Say what files are, from their headers alone: a model, an adapter and whose, packed weights.

    Example: lolora what lora.safetensors
    """
    found = {name: _contents(name) for name in files}
    if json:
        print_json([{"file": name, **_plain(contents)} for name, contents in found.items()])
        return
    for name, contents in found.items():
        _print(name, contents)


def _contents(name: str) -> Contents:
    path = Path(name)
    if path.exists():
        return find_local(path).what()  # without torch, which takes longer to load than to answer
    from lolora_core.checkpoints import what

    return what(name)


def _plain(contents: Contents) -> dict[str, Any]:
    return {
        "kind": contents.kind,
        "words": contents.words,
        "methods": contents.methods,
        "evidence": contents.evidence,
        "advice": contents.advice,
        "tensors": [
            group._asdict() | {"shapes": {_axes(s): n for s, n in group.shapes.items()}}
            for group in contents.groups
        ],
        "files": dict(contents.files),
        "nbytes": sum(contents.files.values()),
        "notes": contents.notes,
    }


def _axes(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "1"


def _print(name: str, contents: Contents) -> None:
    print(f"{name} is {contents.words}.")
    for statement in contents.evidence:
        print(f"  {statement}")
    if contents.groups:
        print_table(
            {
                "role": "tensors",
                "tensors": "number",
                "parameters": "parameters",
                "nbytes": "bytes",
                "dtypes": "dtypes",
                "shapes": "shapes",
            },
            [_row(group._asdict()) for group in contents.groups],
        )
    sizes = contents.files
    more = f" and {len(sizes) - 3} more" if len(sizes) > 3 else ""
    print(f"{sum(sizes.values()):,} bytes in {', '.join(list(sizes)[:3])}{more}.")
    for note in contents.notes:
        print(f"Note: {note}.")
    if contents.advice:
        print(f"Where it is not read: {contents.advice}.")


def _row(group: dict[str, Any]) -> dict[str, Any]:
    shapes = [f"{_axes(shape)} ({n})" for shape, n in group["shapes"].items()]
    more = [f"{len(shapes) - _SHOWN_SHAPES} more"] if len(shapes) > _SHOWN_SHAPES else []
    return group | {
        "dtypes": ", ".join(f"{dtype} ({n})" for dtype, n in group["dtypes"].items()),
        "shapes": ", ".join([*shapes[:_SHOWN_SHAPES], *more]),
        "parameters": f"{group['parameters']:,}",
        "nbytes": f"{group['nbytes']:,}",
    }


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    app.command("what")(what_command)
