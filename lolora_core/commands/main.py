"""The program ``lolora``: its commands, gathered."""

from __future__ import annotations

import typer

from lolora_core.commands import (
    board,
    checkpoints,
    contents,
    experiments,
    matrices,
    merging,
    serving,
)

__all__ = ["app", "main"]

app = typer.Typer(
    help="Low-rank structures of matrices, checkpoints and adapters at a parameter budget.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for part in (matrices, board, checkpoints, contents, merging, experiments, serving):
    part.register(app)


def main() -> None:
    """Run the command line; the name is ours however it was started."""
    app(prog_name="lolora")
