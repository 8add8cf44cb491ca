"""The parts of Theory: settings, a card for each statement, drawings, checks."""

from __future__ import annotations

from base64 import b64encode
from html import escape

import streamlit as st

from app.shared import answers
from app.shared import widgets as controls
from app.shared.structure import drawing, longest_side
from app.shared.style import FAMILY_LINES
from app.views.theory import compute, figures, snippets
from app.views.theory import sentences as prose
from app.views.theory.compute import Cases
from app.views.theory.settings import BLOCKS, CASES, CHECKED, COLS, RANK, ROWS, SEED
from lolora_core import Approximation
from lolora_core.theory import STATEMENTS, Check, Statement

__all__ = ["card", "check_all", "picked", "settings", "too_large"]

#: Pixels of the longest side of the largest drawing of a card.
_LONGEST = 240
_CHART = 560
_STYLE = """<style>
.theory-structures { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; align-items: flex-end; }
.theory-structures figure { margin: 0; break-inside: avoid; }
.theory-structures figcaption { margin-bottom: 0.4rem; font-size: 0.875rem; line-height: 1.4; }
.theory-structures img { display: block; max-width: 100%; height: auto; }
</style>"""


def picked() -> Cases:
    """Return what the settings say."""
    return Cases((ROWS.value, COLS.value), BLOCKS.value, RANK.value, CASES.value, SEED.value)


def settings() -> None:
    """Draw what the random cases are, in the sidebar."""
    left, right = st.columns(2)
    with left:
        controls.number(ROWS)
    with right:
        controls.number(COLS)
    controls.slider(BLOCKS)
    controls.slider(RANK)
    if picked().fits:
        st.caption(prose.blocks(picked()))
    controls.slider(CASES)
    controls.number(SEED)


def too_large(cases: Cases) -> None:
    """Say that a block has no room for its rank, with a way out."""
    most = cases.most
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(f"Use rank {most}", on_click=RANK.set, args=(most,), key="theory_fit")
        st.error(prose.too_large(cases))


def _toggle(name: str) -> None:
    shown = CHECKED.value
    CHECKED.set([n for n in STATEMENTS if (n in shown) != (n == name)])


def check_all(cases: Cases) -> None:
    """Draw the button that checks every statement, or hides every check."""
    every = set(CHECKED.value) == set(STATEMENTS)
    st.button(
        "Hide every check" if every else "Check everything",
        on_click=CHECKED.set,
        args=([] if every else list(STATEMENTS),),
        disabled=not cases.fits,
        key="theory_all",
    )


def _drawings(name: str, found: dict[str, Approximation], cases: Cases) -> None:
    scale = _LONGEST / max(longest_side(approximation) for approximation in found.values())
    parts = []
    for family, approximation in found.items():
        lines = prose.structure(approximation)
        words = escape(f"{family}: {', '.join(lines)}")
        svg = drawing(approximation, FAMILY_LINES[family].colour, scale=scale)
        source = f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"
        parts.append(
            f"<figure><figcaption><b>{escape(family)}</b><br>{'<br>'.join(map(escape, lines))}"
            f'</figcaption><img src="{source}" alt="{words}"></figure>'
        )
    st.html(f'{_STYLE}<div class="theory-structures">{"".join(parts)}</div>')
    st.caption(prose.TO_SCALE)
    answers.python(snippets.structures(name, cases), key=f"theory_{name}_structures_python")


def _chart(statement: Statement, check: Check, cases: Cases) -> None:
    key = f"theory_{statement.name}_chart"
    if check.of_means:
        figure, caption = figures.means_figure(check, statement.family), prose.means(check)
        code = snippets.check(statement.name, cases)
    else:
        figure = figures.against_figure(check, statement.axes, statement.family)
        caption = prose.against(check, statement.drawn)
        code = snippets.drawn(statement.name, cases)
    answers.chart(figure, key=key, caption=caption, code=code, width=_CHART)


def _table(name: str, check: Check, cases: Cases) -> None:
    frame = check.frame().rename(columns={"what": "what is compared"})
    frame["holds"] = ["yes" if one.holds else "no" for one in check.sides]
    if check.of_means:
        frame = frame.drop(columns="case")
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    # What is left goes to the words.
    widths = {"case": 50, "left": 85, "relation": 65, "right": 85, "deviation": 80, "holds": 55}
    forms = {"left": "%.5g", "right": "%.5g", "deviation": "%.2g"}
    columns = {
        column: number(help=prose.COLUMNS[column], width=widths[column], format=forms[column])
        if column in forms
        else text(help=prose.COLUMNS[column], width=widths.get(column))
        for column in map(str, frame)
    }
    code = snippets.check(name, cases)
    answers.table(frame, key=f"theory_{name}_table", columns=columns, code=code)


def _check(statement: Statement, cases: Cases) -> None:
    check = compute.checked(statement.name, cases)
    words = prose.verdict(check, cases.cases)
    (st.success if check.holds else st.error)(words)
    st.caption(statement.checked)
    if statement.drawn or check.of_means:
        _chart(statement, check, cases)
    _table(statement.name, check, cases)


def card(statement: Statement, cases: Cases) -> None:
    """Draw a statement: formula, sentence, proof, sources, check."""
    name, shown = statement.name, statement.name in CHECKED.value
    with st.container(border=True, key=f"theory_{name}"):
        st.header(statement.title, anchor=False)
        st.markdown(statement.statement)
        found = compute.structures(name, cases.grid, cases.rank) if cases.fits else {}
        formula = r" \\[0.7em] ".join(statement.formulas)
        st.latex(rf"\begin{{gathered}}{formula}\end{{gathered}}")
        if found:
            _drawings(name, found, cases)
        with st.expander("Proof sketch"):
            st.markdown(statement.proof)
        st.markdown(prose.sources(statement.sources))
        st.button(
            "Hide the check" if shown else "Check it",
            on_click=_toggle,
            args=(name,),
            disabled=not cases.fits,
            key=f"theory_{name}_check",
        )
        if shown and cases.fits:
            _check(statement, cases)
