"""The page Does it always win? through AppTest, and what it computes against the library."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from app.shared import experiment, learning
from app.views.scoreboard import compute, figures, parts, snippets
from lolora_core.explore.scoreboard import CLAIMED, RIVALS, duels, scoreboard, shares, winners
from lolora_core.families import ranked_families
from lolora_core.targets import catalogue, load
from lolora_core.training.experiment.findings import (
    best_trained,
    read_experiment,
    retention,
    sensitivity,
    verdicts,
)
from tests.app.drawn import checked
from tests.app.test_pages import opened, text

#: A few that are small, and of every kind.
IDS = ("text", "checkerboard", "silero-lstm-ih", "update-vit-0-query", "update-mlp-fc1")
ENTRIES = tuple(entry for entry in catalogue() if entry.id in IDS)
EVERY = parts.Filters(
    ["image", "pattern", "weights", "update"], list(ranked_families()), [2, 8], [4, 8], False
)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    # What the lines under "Copy as Python" import, too.
    for module in ("app.views.scoreboard.compute", "lolora_core.explore.scoreboard",
                   "lolora_core.targets"):  # fmt: skip
        monkeypatch.setattr(f"{module}.catalogue", lambda: ENTRIES)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return pd.concat(scoreboard(load(entry.id) for entry in ENTRIES), ignore_index=True)


def start(**settings: Any) -> AppTest:
    at = opened("scoreboard")
    for key, value in settings.items():
        at.session_state[key] = value
    return at.run()


def table(at: AppTest) -> pd.DataFrame:
    return next(frame.value for frame in at.dataframe if "lowest / global" in frame.value)


def run(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(code, names)
    return names


def test_the_paragraph_says_what_the_library_says(rows: pd.DataFrame) -> None:
    at = start()
    assert not at.exception
    assert [title.value for title in at.title] == ["Does it always win?"]
    found = duels(rows, CLAIMED, RIVALS[0])
    won = int((found["outcome"] == "lower").sum())
    assert 0 < won < len(found)
    assert f"**{won:,} of {len(found):,} comparisons" in text(at)
    for widget in (*at.button_group, *at.toggle, *at.selectbox):
        assert widget.proto.help, widget.label
    assert len(at.get("plotly_chart")) == 5


def test_the_filters_leave_what_they_say(rows: pd.DataFrame) -> None:
    shown = table(start())
    assert shown["fair"].all()
    assert "adaptive" not in {*shown["lowest error"], *shown["next"]}
    picked = {
        "board_kinds": ["update"],
        "board_families": ["global", "adaptive"],
        "board_grids": ["2", "4"],
        "board_ranks": ["4", "8"],
        "board_exact": False,
    }
    at = start(**picked)
    assert not at.exception
    cells = winners(rows[rows["kind"] == "update"], ["global", "adaptive"])
    cells = cells[cells["grid"].isin([2, 4]) & cells["rank"].isin([4, 8])]
    shown = table(at)
    assert shown["error"].tolist() == cells["relative_error"].tolist()
    assert shown["lowest error"].tolist() == cells["outcome"].tolist()
    assert set(shown["kind"]) == {"updates"}
    at.button_group(key="board_kinds").set_value([]).run()
    assert "No cell is left" in text(at)
    at.button_group(key="board_kinds").set_value(["update"]).run()
    at.button_group(key="board_families").set_value([]).run()
    assert "No cell is left" in text(at)
    at.button_group(key="board_families").set_value(["localized"]).run()
    assert set(table(at)["lowest error"]) == {"localized"}
    assert not at.exception


def test_a_cell_opens_compare_where_the_scoreboard_looked() -> None:
    at = start(**{"checkerboard.size": 64, "colour": True, "linked": False, "rows": 3})
    at.selectbox[0].set_value("Checkerboard, 4×4, r = 8").run()
    at.button(key="board_open_cell").click().run()
    assert not at.exception
    assert [title.value for title in at.title] == ["Compare"]
    keys = ("target", "checkerboard.size", "colour", "linked", "rows", "cols", "rank")
    assert [at.session_state[key] for key in keys] == [
        "checkerboard", 256, False, True, 4, 4, 8
    ]  # fmt: skip
    at.switch_page("views/scoreboard/page.py").run()
    at.button_group(key="board_grids").set_value(["2"]).run()
    assert str(at.selectbox[0].value).endswith("2×2, r = 2")
    assert not at.exception


def test_a_stop_keeps_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    compute._held.clear()
    told: list[tuple[float, str]] = []

    class StopHereError(Exception):
        pass

    def stop(share: float, title: str) -> None:
        told.append((share, title))
        if len(told) == 3:
            raise StopHereError

    with pytest.raises(StopHereError):
        compute.board(ENTRIES, stop)
    assert [title for _, title in told] == [entry.title for entry in ENTRIES[:3]]
    assert told[0][0] == 0 < told[1][0] < told[2][0] < 1
    assert compute.finished() == ENTRIES[:2]
    at = start(stopped_scoreboard=len(ENTRIES))
    assert f"Stopped: 2 of {len(ENTRIES)} matrices are done and shown." in text(at)
    assert set(table(at)["target"]) <= {entry.title for entry in ENTRIES[:2]}
    at.button(key="continue_scoreboard").click().run()
    assert len(compute.finished()) == len(ENTRIES)
    assert "Stopped" not in text(at)
    compute._held.clear()
    assert "No matrix is done yet" in text(start(stopped_scoreboard=len(ENTRIES)))


def test_without_the_experiment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment, "committed", lambda: None)
    at = start()
    assert not at.exception
    assert "not part of the installed package" in text(at)


@pytest.mark.parametrize(
    "picked",
    [EVERY, parts.Filters(["update"], ["global", "localized"], [2, 4], [4, 16], True)],
    ids=["every", "some"],
)
def test_the_lines_make_the_same_numbers(rows: pd.DataFrame, picked: parts.Filters) -> None:
    shown = parts.chosen(rows, picked).reset_index(drop=True)
    assert len(shown)
    made = run(snippets.wins(*picked))
    pd.testing.assert_frame_equal(made["cells"].reset_index(drop=True), shown)
    pd.testing.assert_frame_equal(made["wins"], shares(shown))
    alone = run(snippets.cells(*picked))["cells"]
    pd.testing.assert_frame_equal(alone, made["cells"])


def test_the_lines_of_the_sentences(rows: pd.DataFrame) -> None:
    for rival in RIVALS:
        found = run(snippets.duel(rival))["found"]
        pd.testing.assert_frame_equal(found, duels(rows, CLAIMED, rival))
    experiment = read_experiment()
    pd.testing.assert_frame_equal(run(snippets.trained())["best"], best_trained(experiment))
    pd.testing.assert_frame_equal(run(snippets.verdicts())["table"], verdicts(experiment))
    for name, read in (("sensitivity", sensitivity), ("retention", retention)):
        lines = snippets.one_task(name, "digits-rotated", 8)
        pd.testing.assert_frame_equal(run(lines)["found"], read(experiment, "digits-rotated", 8))


def test_verdicts_of_the_paper_stand_above_their_table() -> None:
    at, found = start(), read_experiment()
    for rival in RIVALS:
        [row] = [v for v in found["verdicts"] if v["question"] == f"{CLAIMED}-{rival}"]
        assert f"**{row['verdict']}**. Of {row['cells']} cells" in text(at)
    shown = next(frame.value for frame in at.dataframe if "verdict" in frame.value)
    assert shown["verdict"].tolist() == [v["verdict"] for v in found["verdicts"]]
    dropped = [name for name, task in found["tasks"].items() if not task["learnable"]]
    for name in dropped:
        assert name in text(at)
        assert name not in at.selectbox(key="trained_task").options


def test_one_task_closely() -> None:
    found = read_experiment()
    task, rank = next((c["task"], c["rank"]) for c in found["results"] if "planted" in c["task"])
    at = start(trained_task=task, trained_rank=rank)
    assert at.selectbox(key="trained_rank").value == rank
    assert "made for nothing that it could forget" in text(at)
    best = found["results"][0]
    at = start(trained_task=best["task"], trained_rank=best["rank"])
    lr = best["methods"]["localized"]["lr"]
    assert f"localized {lr:g} (loss" in text(at)
    assert "right on the new data, 0.969 on the old" in text(at)
    # The variants stand there when they are asked for.
    assert "blast" not in "".join(caption.value for caption in at.caption)
    at = start(trained_task=best["task"], trained_rank=8, trained_variants=True)
    assert "blast" in "".join(caption.value for caption in at.caption)


def test_charts_of_one_task_hold_every_point() -> None:
    found = read_experiment()
    curves, kept = (read(found, "digits-rotated", 8) for read in (sensitivity, retention))
    drawn = checked(learning.rates_figure(curves)).data
    assert [trace.name for trace in drawn] == list(dict.fromkeys(curves["method"]))
    for trace in drawn:
        rows = curves[curves["method"] == trace.name].sort_values("lr")
        assert list(trace.x) == rows["lr"].tolist()
        assert list(trace.y) == rows["loss"].tolist()
        # The dot of the rate that was used.
        assert trace.marker.size.index(max(trace.marker.size)) == rows["loss"].argmin()
    drawn = checked(learning.retention_figure(kept)).data
    for trace in drawn:
        rows = kept[kept["method"] == trace.name]
        assert (list(trace.x), list(trace.y)) == (
            rows["metric"].tolist(),
            rows["retained"].tolist(),
        )


def test_rates_that_diverged_are_said_and_not_drawn() -> None:
    curves = pd.DataFrame(
        {"method": ["full"] * 3, "lr": [0.1, 1.0, 10.0], "loss": [2.0, 1.0, float("nan")]}
    )
    [line] = checked(learning.rates_figure(curves)).data
    assert list(line.x) == [0.1, 1.0]
    assert "Diverged: full at 10." in learning.rates_caption(curves)
    # A wide range of losses is drawn by powers of ten.
    wide = curves.assign(loss=[1.0, 1e-9, 1.0])
    assert checked(learning.rates_figure(wide)).layout.yaxis.type == "log"
    assert checked(learning.rates_figure(curves)).layout.yaxis.type is None


def test_the_map_names_every_winner_by_a_letter_and_marks_what_is_not_fair(
    rows: pd.DataFrame,
) -> None:
    cells = parts.chosen(rows, EVERY)
    figure = checked(figures.map_figure(cells, parts.titles()))
    scatters = [trace for trace in figure.data if trace.type == "scatter"]
    letters = [str(word) for trace in scatters if trace.mode == "text" for word in trace.text]
    assert len(letters) == len(cells)
    assert sum(word.endswith("*") for word in letters) == (~cells["exact"]).sum() > 0
    expected = cells["outcome"].map(figures.letter).value_counts().to_dict()
    assert pd.Series([word[0] for word in letters]).value_counts().to_dict() == expected
    clickable = figure.data[-1].customdata
    assert [(c[3], int(c[1]), int(c[2])) for c in clickable] == list(
        zip(cells["target"], cells["grid"], cells["rank"], strict=True)
    )
    alone = parts.chosen(rows, EVERY._replace(families=["localized"]))
    assert set(alone["outcome"]) == {"localized"}
    assert checked(figures.map_figure(alone, parts.titles())).data


def test_bars_hold_all_cells(rows: pd.DataFrame) -> None:
    found = shares(parts.chosen(rows, EVERY))
    bars = checked(figures.shares_figure(found)).data
    np.testing.assert_allclose(sum(sum(bar.x) for bar in bars), 100 * found["kind"].nunique())
    best = best_trained(read_experiment())
    assert sum(sum(bar.x) for bar in checked(figures.trained_figure(best)).data) == len(best)
