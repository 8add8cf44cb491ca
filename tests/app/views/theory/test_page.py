"""The page Theory through AppTest: what it says is what the library finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from app.views.theory import compute, figures, sentences, snippets
from app.views.theory.compute import Cases
from lolora_core.theory import STATEMENTS, Check, Sides
from lolora_core.theory.counting import ParameterCounts
from tests.app.drawn import checked
from tests.app.test_pages import MAIN, text

CASES = Cases((30, 24), 3, 2, 5, 7)


def start(**query: Any) -> AppTest:
    at = AppTest.from_file(MAIN, default_timeout=60)
    at._page_hash = calc_hash("theory")
    for key, value in query.items():
        at.query_params[f"theory_{key}"] = value
    return at.run()


def tables(at: AppTest) -> list[pd.DataFrame]:
    return [frame.value for frame in at.dataframe]


def test_every_statement_is_a_card() -> None:
    at = start()
    assert not at.exception
    assert [title.value for title in at.title] == ["Theory"]
    assert [head.value for head in at.header] == [s.title for s in STATEMENTS.values()]
    words = text(at)
    for statement in STATEMENTS.values():
        assert statement.statement in words
        assert statement.proof in words
        for work in statement.sources:
            assert work.address in words
    assert not at.dataframe
    for widget in (*at.slider, *at.number_input):
        assert widget.proto.help, widget.label


def test_a_button_checks_one_statement_and_hides_it_again() -> None:
    at = start()
    at.button(key="theory_neither_check").click().run()
    assert not at.exception
    check = STATEMENTS["neither"].check((48, 64), 4, 2, 20, 0)
    assert [found.value for found in at.success] == [sentences.verdict(check, 20)]
    (table,) = tables(at)
    np.testing.assert_array_equal(table["left"], [one.left for one in check.sides])
    np.testing.assert_array_equal(table["right"], [one.right for one in check.sides])
    assert set(table["holds"]) == {"yes"}
    at.button(key="theory_neither_check").click().run()
    assert not at.success
    assert not at.dataframe


def test_everything_at_once_from_a_link() -> None:
    at = start(checked=list(STATEMENTS), rows="30", cols="24", blocks="3", cases="5", seed="7")
    assert not at.exception
    assert not at.error
    assert len(at.success) == len(at.dataframe) == len(STATEMENTS)
    assert len(at.get("plotly_chart")) == 5
    for name, shown in zip(STATEMENTS, at.success, strict=True):
        assert shown.value == sentences.verdict(compute.checked(name, CASES), 5)
    at.button(key="theory_all").click().run()
    assert not at.success
    at.button(key="theory_all").click().run()
    assert len(at.success) == len(STATEMENTS)


def test_a_rank_that_does_not_fit_is_mended_by_a_button() -> None:
    at = start(rows="16", cols="16", rank="8", checked=["counts"])
    assert "The smallest block is 4 × 4. With rank 8 nothing is left" in at.error[0].value
    assert at.button(key="theory_counts_check").disabled
    assert at.button(key="theory_all").disabled
    assert not at.success
    at.button(key="theory_fit").click().run()
    assert at.slider(key="theory_rank").value == 3
    assert not at.error
    assert len(at.success) == 1


def test_a_failure_is_said_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = Check((Sides(1, "numbers in global", 5, "=", 4, 0), Sides(2, "numbers", 4, "=", 4, 0)))
    monkeypatch.setattr(ParameterCounts, "check", lambda *of: wrong)
    # Another seed than any test before: checks are kept.
    at = start(checked=["counts"], seed="4321")
    assert not at.success
    assert at.error[0].value.startswith("Failed in 1 of 2 cases. The furthest is case 1, numbers")
    assert tables(at)[0]["holds"].tolist() == ["no", "yes"]


def run(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(code, names)
    return names


@pytest.mark.parametrize("name", STATEMENTS)
def test_the_lines_make_the_numbers_of_the_page(name: str) -> None:
    check = compute.checked(name, CASES)
    assert run(snippets.check(name, CASES))["rows"].equals(check.frame())
    statement = STATEMENTS[name]
    if statement.drawn:
        points = checked(figures.against_figure(check, statement.axes, statement.family)).data[-1]
        found = run(snippets.drawn(name, CASES))
        assert found["left"].tolist() == list(points.y)
        assert found["right"].tolist() == list(points.x)
        assert len(points.x) == CASES.cases
    shown = compute.structures(name, CASES.grid, CASES.rank)
    if shown:
        found = run(snippets.structures(name, CASES))
        assert found["parameters"] == {n: a.num_parameters for n, a in shown.items()}


def test_means_are_drawn_with_what_may_deviate() -> None:
    check = compute.checked("noise-limit", CASES)
    right, mean = checked(figures.means_figure(check, "localized")).data
    assert list(mean.y) == [one.left for one in check.sides]
    assert list(right.y) == [one.right for one in check.sides]
    assert list(mean.error_y.array) == [one.tolerance for one in check.sides]
    assert "3×3 blocks: localized" in sentences.means(check)
