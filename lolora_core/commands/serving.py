"""The command that hosts the app: serve."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

import lolora_core
from lolora_core.commands.shared import sentences

__all__ = ["register"]


@sentences
def serve_command(
    workers: Annotated[int, typer.Option(min=1, help="Processes of the app: one a core.")] = 2,
    port: Annotated[
        int, typer.Option(min=1, max=65000, help="Of the proxy; the workers have those above it.")
    ] = 8501,
) -> None:
    """Serve the app to strangers, with several processes behind a proxy; docs/hosting.md.

    Example: lolora serve --workers 2 --port 8501
    """
    # The app lies beside the library, installed or not; the library itself does not know it.
    root = Path(lolora_core.__file__).resolve().parents[1]
    if not (root / "app" / "serve.py").is_file():
        raise ValueError("the app is not here: install it with pip install 'lolora-core[app]'")
    paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    command = [sys.executable, "-m", "app.serve", "--workers", str(workers), "--port", str(port)]
    # In this process's place, so that signals come to it.
    os.execve(sys.executable, command, os.environ | {"PYTHONPATH": os.pathsep.join(paths)})


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    app.command("serve")(serve_command)
