"""The command line: ``python -m lolora_core``."""

from __future__ import annotations

import typer

from lolora_core.commands import checkpoints, experiments, matrices

__all__ = ["app"]

app = typer.Typer(
    name="python -m lolora_core",
    help="Low-rank structures of matrices, checkpoints and adapters at a parameter budget.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for part in (matrices, checkpoints, experiments):
    part.register(app)

if __name__ == "__main__":
    app()
