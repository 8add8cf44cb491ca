"""The command ``python -m benchmarks``: the parts named, or all; JSON out."""

from __future__ import annotations

import importlib
import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

#: Module and function of each part; imported when it runs, as some need what others do not.
PARTS = {
    "library": ("benchmarks.library", "run"),
    "hybrid": ("benchmarks.library", "hybrid"),
    "whatif": ("benchmarks.whatif", "run"),
    "adapters": ("benchmarks.adapters", "run"),
    "training": ("benchmarks.training", "run"),
    "checkpoints": ("benchmarks.checkpoints", "run"),
    "contents": ("benchmarks.contents", "run"),
    "fuzz": ("benchmarks.fuzz", "run"),
    "browser": ("benchmarks.browser", "run"),
    "lens": ("benchmarks.lens", "run"),
    "change": ("benchmarks.change", "run"),
    "load": ("benchmarks.load", "run"),
}
#: What runs where no part is named: `library` runs `hybrid` too.
ALL = [name for name in PARTS if name != "hybrid"]
# mypy wants the names of an enumeration written out; they are those of the table.
Part = StrEnum("Part", list(PARTS))  # type: ignore[misc]


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    return float(f"{value:.3g}") if isinstance(value, float) else value


def measure(name: str) -> Any:
    """Run one part; figures have three significant digits."""
    module, function = PARTS[name]
    return _rounded(getattr(importlib.import_module(module), function)())


def main(
    parts: Annotated[
        list[Part] | None,
        typer.Argument(metavar="PART", help=f"Which of {', '.join(PARTS)}; by default all."),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write the JSON to this file.")] = None,
) -> None:
    """Measure speed and memory as ratios against a peer in the same run; docs/performance.md.

    Example: python -m benchmarks library whatif --output figures.json
    """
    if output is not None and not output.parent.is_dir():
        raise typer.BadParameter(f"{output.parent} is not a folder", param_hint="--output")
    found: dict[str, Any] = {}
    for name in [str(part) for part in parts or []] or ALL:
        typer.echo(f"{name} …", err=True)
        found[name] = measure(name)
    text = json.dumps(found, indent=2, ensure_ascii=False)
    if output is None:
        typer.echo(text)
    else:
        output.write_text(f"{text}\n", encoding="utf-8")


app = typer.Typer(
    name="python -m benchmarks",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(main)

if __name__ == "__main__":
    app()
