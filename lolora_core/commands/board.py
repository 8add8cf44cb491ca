"""The command over all bundled targets: scoreboard."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lolora_core.commands.shared import (
    AsJson,
    Families,
    FamiliesCommand,
    print_json,
    print_table,
    progress_bar,
    say,
    sentences,
)

__all__ = ["register"]


@sentences
def scoreboard_command(
    kind: Annotated[
        list[str] | None,
        typer.Option(help="image, pattern, weights or update; repeatable; by default all."),
    ] = None,
    family: Families = None,
    csv: Annotated[
        Path | None, typer.Option(help="Write who wins each cell, and every error, to this file.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Count who has the lowest error at matched budgets, over the bundled targets.

    Example: lolora scoreboard --kind weights --csv scoreboard.csv
    """
    import pandas as pd

    from lolora_core.explore.scoreboard import scoreboard, shares, winners
    from lolora_core.files.writes import whole_file
    from lolora_core.targets import catalogue, load

    kinds = list(dict.fromkeys(entry.kind for entry in catalogue()))
    for named in kind or ():
        if named not in kinds:
            raise ValueError(f"--kind must be one of {', '.join(kinds)}; it is {named!r}")
    if csv is not None and csv.suffix != ".csv":
        raise ValueError(f"--csv must end in .csv; it is {csv}")
    entries = [entry for entry in catalogue() if not kind or entry.kind in kind]
    rows = []
    with progress_bar("scoreboard") as progress:
        found = scoreboard((load(entry.id) for entry in entries), families=family)
        for done, part in enumerate(found, 1):
            rows.append(part)
            progress(done, len(entries), part["target"].iloc[0])
    cells = winners(pd.concat(rows, ignore_index=True))
    if csv is not None:
        with whole_file(csv) as draft:
            cells.to_csv(draft, index=False)
        say(f"Wrote {csv}.")
    if json:
        print_json(cells.to_dict("records"))
        return
    exact = cells[cells["exact"]]
    print(
        f"{len(entries)} targets, {len(cells):,} cells; in {len(exact):,} of them every family "
        "spends the whole budget, and the lowest error has:"
    )
    print_table(
        {"kind": "kind", "outcome": "family", "cells": "cells", "share": "share"},
        [{str(k): v for k, v in row.items()} for row in shares(exact).to_dict("records")],
    )


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    app.command("scoreboard", cls=FamiliesCommand)(scoreboard_command)
