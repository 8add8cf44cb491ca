"""The page Fine-tune through AppTest, and its sentences and figures without a page."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app import figures, figures_training, prose_training, race_end, sidebar, state
from app.jobs import Race
from app.lanes import Plan
from lolora_core.training import METHODS, TASKS

MAIN = Path(__file__).resolve().parents[2] / "app" / "main.py"


@pytest.fixture
def at() -> Iterator[AppTest]:
    made = AppTest.from_file(str(MAIN), default_timeout=60).run()
    made.switch_page("views/fine_tune.py").run()
    yield made
    race = race_of(made)
    if race is not None:
        race.stop()
        assert race.join(30)


def race_of(at: AppTest) -> Race | None:
    # `session_state` of AppTest has no `get`.
    found: Race | None = at.session_state["race"] if "race" in at.session_state else None  # noqa: SIM401
    return found


def running(at: AppTest) -> Race:
    race = race_of(at)
    assert race is not None
    return race


def text(at: AppTest) -> str:
    shown = (*at.markdown, *at.caption, *at.info, *at.warning, *at.error)
    return " ".join(element.value for element in shown)


def small(at: AppTest, steps: int = 8, **chosen: Any) -> AppTest:
    at.number_input(key="ft_steps").set_value(steps)
    for key, value in chosen.items():
        at.session_state[key] = value
    return at.run()


def until_end(at: AppTest) -> Race:
    race = running(at)
    for _ in range(600):
        if race.ended:
            at.run()
            return race
        race.beat()
        time.sleep(0.05)
    raise AssertionError(f"still {race.state}")


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(1500):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen in 30 s")


def press(at: AppTest, key: str) -> AppTest:
    return at.button(key=key).click().run()


def test_what_stands_there_before_the_first_race(at: AppTest) -> None:
    assert [title.value for title in at.title] == ["Fine-tune"]
    assert "then Start" in text(at)
    assert not at.exception
    enabled = {b.key for b in at.button if b.key and b.key.startswith("ft_") and not b.disabled}
    assert enabled == {"ft_start", "ft_new_seed"}
    for widget in (*at.slider, *at.number_input, *at.selectbox, *at.toggle):
        assert widget.proto.help, widget.label


@pytest.mark.parametrize("task", [name for name in TASKS if not name.endswith("mnist")])
def test_every_task_is_described(at: AppTest, task: str) -> None:
    at.selectbox(key="ft_task").set_value(task).run()
    assert not at.exception
    assert TASKS[task].description in text(at)


def test_a_race_from_start_to_end(at: AppTest) -> None:
    press(small(at), "ft_start")
    race = until_end(at)
    assert race.state == "finished"
    assert not at.exception
    winner = min(race.lanes, key=lambda lane: lane.outcome.loss if lane.outcome else 9.0)
    assert f"**{winner.method}** has the lowest test loss" in text(at)
    table = next(frame.value for frame in at.dataframe if "test loss" in frame.value)
    assert table["method"].tolist() == list(race.plan.methods)
    assert table["parameters"].tolist() == [lane.num_parameters for lane in race.lanes]
    assert "–" not in table.to_numpy().tolist()
    assert len(at.get("plotly_chart")) == 3
    assert "the other way round" in text(at)
    assert at.button(key="ft_pause").disabled


def test_pause_step_resume_stop(at: AppTest) -> None:
    press(small(at, steps=5000), "ft_start")
    assert not at.button(key="ft_pause").disabled
    race = running(at)
    wait_for(lambda: len(race.lanes) == 4 and bool(race.lanes[-1].records))
    press(at, "ft_pause")
    wait_for(lambda: race.state == "paused")
    before = race.lanes[0].records[-1].step
    press(at, "ft_step")
    wait_for(lambda: race.lanes[-1].records[-1].step == before + 1)
    at.run()
    assert f"step {before + 1:,} of 5,000" in at.get("progress")[0].proto.text
    assert at.button(key="ft_pause").disabled
    press(at, "ft_resume")
    assert at.button(key="ft_resume").disabled
    press(at, "ft_stop")
    until_end(at)
    assert race.state == "stopped"
    assert "Nobody has won" in text(at)
    assert not at.exception


def test_a_second_start_is_refused_and_settings_wait(at: AppTest) -> None:
    press(small(at, steps=5000), "ft_start")
    race = running(at)
    press(at, "ft_start")
    assert "still running" in at.error[0].value
    assert running(at) is race
    at.slider(key="ft_rank").set_value(16).run()
    assert "Start takes the new ones" in text(at)


def test_reset_repeats_and_new_seed_does_not(at: AppTest) -> None:
    press(small(at), "ft_start")
    first = until_end(at)
    press(at, "ft_again")
    again = until_end(at)
    assert again is not first
    losses = [[r.train_loss for lane in race.lanes for r in lane.records] for race in
              (first, again)]  # fmt: skip
    assert losses[0] == losses[1]
    press(at, "ft_new_seed")
    assert until_end(at).plan.seeds == (1,)
    assert at.number_input(key="ft_seed").value == 1


def test_reset_ends_the_race_that_runs(at: AppTest) -> None:
    press(small(at, steps=5000), "ft_start")
    first = running(at)
    press(at, "ft_again")
    assert not at.error
    assert running(at) is not first
    assert running(at).plan == first.plan
    wait_for(lambda: first.state == "stopped")


def test_several_seeds_have_a_spread(at: AppTest) -> None:
    small(at, ft_methods=["global", "full"])
    at.number_input(key="ft_seeds").set_value(3).run()
    press(at, "ft_start")
    race = until_end(at)
    assert race.plan.seeds == (0, 1, 2)
    assert "over 3 seeds" in text(at)
    assert "larger than" in text(at)
    table = next(frame.value for frame in at.dataframe if "test loss" in frame.value)
    assert all("±" in value for value in table["test loss"])


def test_no_method(at: AppTest) -> None:
    small(at, ft_methods=[])
    press(at, "ft_start")
    assert "at least one method" in at.error[0].value
    assert race_of(at) is None


def test_one_that_diverges_is_named(at: AppTest) -> None:
    small(at, ft_methods=["global", "full"], ft_task="planted-blocks", steps=30)
    at.number_input(key="ft_lr.global").set_value(1e12).run()
    press(at, "ft_start")
    until_end(at)
    assert not at.exception
    assert "global: loss became" in at.warning[0].value
    assert "full reached a test loss" in text(at)


def test_a_rate_of_ones_own_is_taken(at: AppTest) -> None:
    small(at, ft_methods=["global"])
    at.number_input(key="ft_lr.global").set_value(0.003).run()
    press(at, "ft_start")
    assert until_end(at).lanes[0].lr == 0.003


def test_the_learned_update_becomes_the_target_of_compare(at: AppTest) -> None:
    press(small(at), "ft_start")
    race = until_end(at)
    at.selectbox(key="ft_open_method").set_value("localized")
    at.selectbox(key="ft_open_module").set_value("fc2").run()
    lane = race.lanes_of("localized")[0]
    target = race_end._target(race, lane, "fc2")
    np.testing.assert_array_equal(target.array, lane.deltas["fc2"])
    press(at, "ft_open")
    assert [title.value for title in at.title] == ["Compare"]
    assert not at.error
    assert "ΔW of fc2 that localized learned" in text(at)


def test_settings_are_exported_with_the_others() -> None:
    keys = {setting.key for setting in sidebar.every_setting()}
    own = {setting.key for setting in sidebar.fine_tune_settings()}
    assert own <= keys
    assert {f"ft_lr.{name}" for name in METHODS} <= own
    known = {setting.key: setting for setting in sidebar.every_setting()}
    assert known["ft_methods"].accepts(["full", "global"])
    assert not known["ft_methods"].accepts(["full", "nothing"])
    assert not known["ft_methods"].accepts("full")
    for value, allowed in ((None, True), (0.01, True), (0.0, False), ("1", False), (True, False)):
        assert known["ft_lr.full"].accepts(value) is allowed
    assert json.loads(state.export_settings(sidebar.every_setting()))["ft_steps"] is None


def test_every_method_has_a_line() -> None:
    assert set(figures.METHOD_LINES) == set(METHODS)
    assert figures.METHOD_LINES["full"].colour == "#56B4E9"
    assert len(set(figures.METHOD_LINES.values())) == len(METHODS)


def test_bands_span_whole_seeds_and_the_running_one_is_apart() -> None:
    runs = [([0, 1, 2], [4.0, 2.0, 1.0], True), ([0, 1, 2], [8.0, 4.0, 2.0], True),
            ([0, 1], [6.0, 5.0], False)]  # fmt: skip
    curve = figures_training.gather("full", runs)
    assert curve.mean.tolist() == [6.0, 3.0, 1.5]
    assert curve.high.tolist() == [8.0, 4.0, 2.0]
    assert curve.running is not None
    assert curve.running[1].tolist() == [6.0, 5.0]
    names = [trace.name for trace in figures_training.curves_figure([curve], "loss", 2).data]
    assert names == [None, "full", None]
    alone = figures_training.gather("full", [([0, 1], [6.0, 5.0], False)])
    assert (alone.mean.tolist(), alone.running, alone.seeds) == ([6.0, 5.0], None, 1)


def test_long_curves_are_thinned_with_both_ends() -> None:
    curve = figures_training.gather("full", [(range(5001), [float(i) for i in range(5001)], True)])
    assert len(curve.steps) <= figures_training.MAX_POINTS
    assert (curve.steps[0], curve.mean[-1]) == (0, 5000.0)


def test_spectra_leave_zeros_out() -> None:
    figure = figures_training.spectra_figure({"full": np.array([2.0, 1.0, 0.0]),
                                              "frozen": np.zeros(3)})  # fmt: skip
    assert [len(trace.x) for trace in figure.data] == [2, 0]
    figures_training.spectra_figure({"frozen": np.zeros(3)})


def test_sentences_about_a_race_that_waits() -> None:
    race = Race(Plan("digits-rotated", ("full",), (None,), 8, 4, (0, 1), 10))
    race.before = 2
    assert prose_training.state(race).startswith("Queued, 2 before you")
    assert prose_training.short_state(race) == "Fine-tune: queued, 2 before you"
    race.state = "paused"
    assert prose_training.short_state(race) == "Fine-tune: paused, seed 0 (1 of 2), step 0 of 10"
