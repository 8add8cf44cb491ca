"""The command that adds an adapter into its model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lolora_core.commands.shared import AsJson, print_json, progress_bar, say, sentences

__all__ = ["register"]


@sentences
def merge_command(
    base: Annotated[
        Path, typer.Argument(metavar="BASE", help="A .safetensors file or a folder with a model.")
    ],
    adapter: Annotated[
        str,
        typer.Argument(metavar="ADAPTER", help="An adapter of any format, or updates by name."),
    ],
    output: Annotated[Path, typer.Option(help="New folder of the merged model.")],
    json: AsJson = False,
) -> None:
    """Merge an adapter into its model, in the dtype and the files of the model.

    Example: lolora merge model lora --output merged
    """
    from lolora_core.checkpoints import merge_checkpoint

    with progress_bar("merge") as progress:
        found = merge_checkpoint(base, adapter, output, progress=progress)
    for note in found.notes:
        say(f"Note: {note}.")
    say(f"Wrote {found.folder}: {len(found.names)} tensors changed, {found.nbytes:,} bytes.")
    if json:
        print_json(
            {
                "folder": str(found.folder),
                "names": found.names,
                "nbytes": found.nbytes,
                "rounding": found.rounding,
                "notes": found.notes,
            }
        )
        return
    print(f"Rounding to the dtype of the base takes {found.rounding:.3g} of ‖ΔW‖")


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    app.command("merge")(merge_command)
