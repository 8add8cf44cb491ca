"""The console script ``lolora``."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    from lolora_core.__main__ import app

    app()
