"""The page What if through AppTest, and what it computes against the library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app.shared import scene as compute
from app.views.compare.compute import comparison
from app.views.what_if import compute as compute_sweep
from app.views.what_if import figures as figures_sweep
from lolora_core import FAMILIES, Grid, approximate, budget_for_rank
from lolora_core.targets import load
from tests.app.drawn import checked
from tests.app.test_pages import MAIN, opened, text


def start(**link: object) -> AppTest:
    at = opened("what_if")
    for key, value in link.items():
        at.query_params[key] = str(value)
    return at.run()


def scene(name: str = "camera", grid: int = 8, colour: bool = False) -> compute.Scene:
    target = load(name, colour=colour)
    return compute.Scene(target, Grid.regular(target.shape, grid), "cpu")


def test_the_page_says_what_the_library_says() -> None:
    at = start()
    assert [title.value for title in at.title] == ["What if"]
    assert not at.exception
    assert "With 32,768 parameters adaptive on 16×16 blocks comes closest" in text(at)
    assert "relative error 0.0605" in text(at)
    for widget in (*at.slider, *at.number_input, *at.toggle, *at.text_input):
        assert widget.proto.help, widget.label


def test_the_adviser_reaches_an_error_and_applies_it() -> None:
    at = start()
    at.segmented_control(key="aim").set_value("error").run()
    at.number_input(key="aim_error").set_value(0.05).run()
    assert "The fewest parameters for a relative error of at most 0.05" in text(at)
    label = at.button(key="apply_advice").label
    at.button(key="apply_advice").click().run()
    assert [title.value for title in at.title] == ["Compare"]
    rows, rank = int(at.number_input(key="rows").value or 0), int(str(at.slider(key="rank").value))
    assert f"on {rows}×{rows}, r = {rank} in" in label
    w = load("camera").array
    reached = approximate(w, "adaptive", budget=budget_for_rank(w.shape, rank), grid=rows)
    assert reached.relative_error <= 0.05 + 1e-6


def test_no_structure_larger_than_the_matrix_is_recommended() -> None:
    at = start(target="gaussian-noise")
    at.segmented_control(key="aim").set_value("error").run()
    at.number_input(key="aim_error").set_value(0.0).run()
    assert not at.exception
    assert "dense storage with" in text(at)
    assert not [button for button in at.button if button.key == "apply_advice"]
    assert "pays for dense storage" not in text(at)
    at.slider(key="rank").set_value(256).run()
    m, n = compute.bundled_target("gaussian-noise", False, ()).shape
    assert ("pays for dense storage" in text(at)) == (256 * (m + n) >= m * n)


@pytest.mark.parametrize("colour", [False, True])
def test_cells_are_those_of_the_library(colour: bool) -> None:
    at = scene("astronaut", 8, colour)
    found = compute_sweep.swept(at.target, compute_sweep.grids_of(at, "powers of 2"))
    cells = compute_sweep.winner_cells(found, at.target, [16, 32])
    assert len(cells) == 2 * 6
    row = cells[(cells.grid_rows == 8) & (cells["rank"] == 32)].iloc[0]
    expected = comparison(at, 32)
    assert row.winner == expected.winners[0].family.name
    assert row.relative_error == pytest.approx(expected.winners[0].relative_error, abs=1e-5)
    assert row.budget == expected.budget


def test_the_own_grid_is_swept_too() -> None:
    target = load("camera")
    at = compute.Scene(target, Grid.regular(target.shape, 3, 5), "cpu")
    assert Grid.regular(target.shape, 3, 5) in compute_sweep.grids_of(at, "powers of 2")
    divisors = {g.blocks for g in compute_sweep.grids_of(at, "divisors")}
    assert divisors == {(1, 1), (2, 2), (4, 4), (3, 5), (8, 8), (16, 16), (32, 32)}


def test_a_stopped_sweep_keeps_what_is_done() -> None:
    target = load("gaussian-noise", size=64, seed=77)
    at = compute.Scene(target, Grid.regular(target.shape, 2), "cpu")
    grids = compute_sweep.grids_of(at, "powers of 2")

    class StopHereError(Exception):
        pass

    def stop(share: float, words: str) -> None:
        if words == f"grid 3 of {len(grids)}":
            assert share == 2 / len(grids)
            raise StopHereError

    with pytest.raises(StopHereError):
        compute_sweep.swept(target, grids, stop)
    done = compute_sweep.finished(target, grids)
    assert done == grids[:2]
    assert compute_sweep.swept(target, done).grids == done


def test_painting_starts_empty_and_fills() -> None:
    at = start(target="checkerboard", rank=8, rows=4, cols=4)
    assert at.text_input(key="paint").value == ""
    assert "Nothing is painted yet" in text(at)
    values = {metric.label: metric.value for metric in at.metric}
    assert values["Your error"] == "1.00"
    assert values["Parameters left"] == "4,096"
    at.button(key="paint_diagonal").click().run()
    assert at.text_input(key="paint").value == "8.0x3_0.8.0x2_0x2.8.0_0x3.8"
    at.text_input(key="paint").set_value("9x4_9x4_9x4_9x4").run()
    assert "too many" in at.error[0].value
    at.text_input(key="paint").set_value("1.2").run()
    assert "1 rows of 2; the grid is 4×4" in at.warning[0].value
    assert "Nothing is painted yet" in text(at)
    at.button(key="paint_adaptive").click().run()
    assert "You found the best" in text(at)
    at.button(key="paint_clear").click().run()
    assert at.text_input(key="paint").value == ""
    assert not at.exception


def test_a_colour_image_is_told_apart() -> None:
    at = start(target="astronaut")
    at.toggle(key="colour").set_value(True).run()
    assert not at.exception
    assert "98,304 parameters" in text(at)
    assert "Switch the colour off to paint" in text(at)
    at.toggle(key="reorder").set_value(True).run()
    assert "Only one matrix can be put in order" in text(at)


def test_an_order_makes_the_blocks_keep_more() -> None:
    at = start(target="permuted-blocks")
    at.toggle(key="reorder").set_value(True).run()
    assert not at.exception
    assert "the error of adaptive falls from 0.733 to 0" in text(at)
    target = load("permuted-blocks")
    grid = Grid.regular(target.shape, 8)
    before, after = compute_sweep.block_energies(target, grid, 32)
    found = compute_sweep.reordered(target, grid, 32)
    assert before.shares.sum() == pytest.approx(1)
    assert 1 - before.total == pytest.approx(found.error_before**2, abs=1e-9)
    assert after.kept.min() == pytest.approx(1)
    figure = checked(
        figures_sweep.order_figure((before.shares, before.kept), (after.shares, after.kept))
    )
    drawn = [np.array(trace.z) for trace in figure.data if trace.type == "heatmap"]
    for z, expected in zip(drawn, (before.shares, before.kept, after.shares, after.kept),
                           strict=True):  # fmt: skip
        np.testing.assert_array_equal(z, expected)


def test_where_no_order_helps_nothing_moves() -> None:
    at = start(target="low-rank", rank=16, **{"low-rank.size": 64, "low-rank.rank": 2})
    at.toggle(key="reorder").set_value(True).run()
    assert "No better order was found" in text(at)
    assert not [chart for chart in at.get("plotly_chart") if "order_blocks" in str(chart.proto)]


def test_the_map_names_every_family_by_a_letter() -> None:
    at = scene()
    found = compute_sweep.swept(at.target, compute_sweep.grids_of(at, "powers of 2"))
    cells = compute_sweep.winner_cells(found, at.target, [4, 32])
    figure = checked(figures_sweep.winner_map_figure(cells, ((8, 8), 32)))
    drawn = {
        (y, x): letter
        for trace in figure.select_traces(selector={"type": "scatter", "mode": "text"})
        for y, x, letter in zip(trace.y, trace.x, trace.text, strict=True)
    }  # fmt: skip
    names = [
        FAMILIES[str(row.winner)].letter if not row.tied else "=" for row in cells.itertuples()
    ]
    # Two budgets: one letter for both where their winner is the same.
    expected = {}
    for line in range(len(names) // 2):
        first, second = names[2 * line], names[2 * line + 1]
        if first != second:
            expected[line, 0] = first
        expected[line, 1] = second
    assert drawn == expected
    assert len(set(names)) > 2
    clickable = figure.data[-1]
    assert len(clickable.customdata) == len(cells)


def test_one_line_a_family_holds_its_lowest_error_over_the_grids() -> None:
    at = scene()
    found = compute_sweep.swept(at.target, compute_sweep.grids_of(at, "powers of 2"))
    best = compute_sweep.best_curves(found, at.target)
    frame = found.frame()
    for row in best[best["budget"] == 32768].itertuples():
        own = frame[(frame.family == row.family) & (frame.budget == 32768)]
        if row.family != "global":
            own = own[own.grid_rows > 1]
        assert row.relative_error == own.relative_error.min()
    front = found.pareto()
    figure = checked(
        figures_sweep.best_curves_figure(best, front, 32768, log_error=True, log_parameters=True)
    )
    lines = [trace for trace in figure.data if trace.name in FAMILIES]
    assert [line.name for line in lines] == ["global", "diagonal", "localized", "adaptive"]
    for line in lines:
        assert line.text is None
        assert min(line.x) > 0
        assert max(line.y) < 1
        assert all(used <= x for (_, _, used), x in zip(line.customdata, line.x, strict=True))


def test_rows_by_columns_of_an_undefined_family_stay_empty() -> None:
    errors = np.array([[0.5, np.nan], [np.nan, 0.25]])
    figure = checked(figures_sweep.grid_error_figure(errors, [1, 2], [1, 2], (2, 2)))
    assert list(figure.data[1].text) == ["0.5", "", "", "● 0.25"]


def test_the_heading_stands_before_torch_is_imported() -> None:
    lines = Path(MAIN).read_text().splitlines()
    heading = next(at for at, line in enumerate(lines) if line.startswith("st.title"))
    before = [line for line in lines[:heading] if line.startswith("from app")]
    code = "\n".join([*before, "import sys", "sys.exit('torch' in sys.modules)"])
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(MAIN).parents[1]).returncode == 0
