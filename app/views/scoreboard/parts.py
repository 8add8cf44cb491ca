"""The parts of Does it always win?: filters, the claim, shares, the map, the table, training."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
import streamlit as st

from app.shared import address, answers
from app.shared import widgets as controls
from app.shared.common import (
    BLOCK_COL,
    BLOCK_ROW,
    COLOUR,
    COLS,
    LINKED,
    RANK,
    ROWS,
    TARGET,
    pattern_setting,
)
from app.shared.picking import PICTURE, picked_cell
from app.shared.settings import reset, widget_value
from app.views.scoreboard import figures, sentences, snippets
from app.views.scoreboard.settings import (
    BOARD_EXACT,
    BOARD_FAMILIES,
    BOARD_GRIDS,
    BOARD_KINDS,
    BOARD_RANKS,
)
from lolora_core.explore.scoreboard import (
    CLAIMED,
    RIVALS,
    at_best_grid,
    duels,
    shares,
    winners,
)
from lolora_core.targets import catalogue, entry

__all__ = [
    "Filters",
    "chosen",
    "claim",
    "filters",
    "look_at",
    "open_in_compare",
    "share_of_wins",
    "table",
    "winner_map",
]


class Filters(NamedTuple):
    """Which cells are looked at, and who competes."""

    kinds: list[str]
    families: list[str]
    grids: list[int]
    ranks: list[int]
    exact: bool


def filters() -> Filters:
    """Draw the filters; return what was picked."""
    return Filters(
        controls.pills(BOARD_KINDS),
        controls.pills(BOARD_FAMILIES),
        list(map(int, controls.pills(BOARD_GRIDS))),
        list(map(int, controls.pills(BOARD_RANKS))),
        controls.toggle(BOARD_EXACT),
    )


def chosen(rows: pd.DataFrame, picked: Filters) -> pd.DataFrame:
    """Return the cells that the filters leave, with their winners."""
    shown = rows[
        rows["kind"].isin(picked.kinds)
        & rows["grid"].isin(picked.grids)
        & rows["rank"].isin(picked.ranks)
    ]
    if shown.empty or not picked.families:
        return pd.DataFrame()
    cells = winners(shown, picked.families)
    return cells[cells["exact"]] if picked.exact else cells


def titles() -> dict[str, str]:
    """Return the title of every target."""
    return {found.id: found.title for found in catalogue()}


def claim(rows: pd.DataFrame) -> None:
    """Say what the paper claims and what all the rows show, whatever the filters."""
    first, *others = RIVALS
    found = duels(rows, CLAIMED, first)
    st.markdown(
        " ".join(
            [
                sentences.claim(found),
                sentences.kinds(shares(found)),
                sentences.best_grid(at_best_grid(found, CLAIMED)),
                *(sentences.rival(duels(rows, CLAIMED, other), other) for other in others),
            ]
        ),
        help=sentences.CLAIM_HELP,
    )
    st.caption(sentences.extremes(found, titles()))
    answers.python(snippets.duel(first), key="claim_python")


def share_of_wins(cells: pd.DataFrame, picked: Filters) -> None:
    """Draw who wins how often on each kind of target."""
    st.header("Who wins how often", anchor=False)
    counted = shares(cells)
    answers.chart(
        figures.shares_figure(counted),
        key="board_shares",
        caption=sentences.share_of_wins(counted),
        code=snippets.wins(*picked),
    )


def look_at(target: str, grid: int, rank: int) -> None:
    """Open a cell in Compare; a callback."""
    TARGET.set(target)
    # The scoreboard took the image in grey, the pattern as it is made by default.
    reset((COLOUR, *(pattern_setting(entry(target), p) for p in entry(target).parameters)))
    LINKED.set(True)
    ROWS.set(grid)
    COLS.set(grid)
    RANK.set(rank)
    reset((BLOCK_ROW, BLOCK_COL))
    address.go_to("views/compare/page.py")


def _go_to_cell() -> None:
    cell = picked_cell("board_map")
    if cell:
        look_at(str(cell[3]), int(cell[1]), int(cell[2]))


def winner_map(cells: pd.DataFrame, picked: Filters) -> None:
    """Draw who wins each cell; a click opens Compare there."""
    st.header("The scoreboard", anchor=False)
    # On a narrow screen the map keeps its cells wide enough, and slides.
    with st.container(key="slides_board"):
        answers.chart(
            figures.map_figure(cells, titles()),
            key="board_map",
            caption=f"{sentences.MAP} {sentences.table(cells)}",
            code=snippets.cells(*picked),
            config=PICTURE,
            on_select=_go_to_cell,
            selection_mode="points",
        )


def open_in_compare(cells: pd.DataFrame) -> None:
    """Offer each cell by its name: the map and the table answer the mouse alone."""
    names, places = titles(), _places(cells)
    named = {f"{names[target]}, {k}×{k}, r = {r}": (target, k, r) for target, k, r in places}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        # Without a key it starts anew with the first cell that the filters leave.
        picked = st.selectbox(
            "Cell to open",
            list(named),
            help="A target, a grid and a budget of the map. Type to search.",
        )
        st.button("Open in Compare", on_click=look_at, args=named[picked], key="board_open_cell")


def _places(cells: pd.DataFrame) -> list[tuple[str, int, int]]:
    columns = (cells[name].tolist() for name in ("target", "grid", "rank"))
    return list(zip(*columns, strict=True))


def _go_to_row(places: list[tuple[str, int, int]]) -> None:
    pressed = widget_value("board_open")
    if pressed:
        look_at(*places[pressed["row"]])


def table(cells: pd.DataFrame, picked: Filters) -> None:
    """Draw every cell as a row; its button opens Compare there."""
    st.caption(sentences.TABLE)
    frame = pd.DataFrame(
        {
            "open": "Compare",
            "target": cells["target"].map(titles()),
            "kind": cells["kind"].map(sentences.KINDS),
            "grid": [f"{k}×{k}" for k in cells["grid"]],
            "rank r": cells["rank"],
            "lowest error": cells["outcome"],
            "error": cells["relative_error"],
            "next": cells["runner_up"],
            "next / lowest": cells["ahead"],
            "lowest / global": cells["over_global"],
            "fair": cells["exact"],
        }
    )
    number = st.column_config.NumberColumn
    answers.table(
        frame,
        key="board_table",
        columns={
            "rank r": number(help=BOARD_RANKS.help),
            "grid": st.column_config.TextColumn(help=BOARD_GRIDS.help),
            "lowest error": st.column_config.TextColumn(
                help="The family with the lowest error, or a tie: two within 0.00001."
            ),
            "error": number(format="%.3g", help="Its relative error, ‖W − Ŵ‖_F/‖W‖_F."),
            "next / lowest": number(
                format="%.4g", help="The error of the next family over the lowest: 2 is twice."
            ),
            "lowest / global": number(
                format="%.4g", help="The lowest error over that of global: 0.5 is half."
            ),
            "fair": st.column_config.CheckboxColumn(help=BOARD_EXACT.help),
        },
        buttons={
            "open": st.column_config.ButtonColumn(
                "", on_click=_go_to_row, args=(_places(cells),), key="board_open", type="tertiary"
            )
        },
        code=snippets.cells(*picked),
    )
    answers.csv(cells, "Scoreboard, CSV", "scoreboard.csv", key="board_csv")
