"""The page Fine-tune through AppTest, and the files of a race."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app.page_settings import OF_PAGE
from app.shared import scene as compute
from app.shared.common import UPLOAD
from app.shared.words import as_text, format_error, percent
from app.views.fine_tune import buttons, heartbeat, race_end
from app.views.fine_tune import compute as compute_task
from app.views.fine_tune.jobs import Race
from app.views.fine_tune.moment import Moment
from lolora_core.common.threads import one_thread
from lolora_core.training import METHODS, TASKS, Method, MethodComparison, fine_tune
from tests.app.test_pages import MAIN, text
from tests.app.views.fine_tune.race_tools import LONG, Make, make, plan, wait

__all__ = ["make"]

Start = Callable[..., AppTest]


def race_of(at: AppTest) -> Race:
    race = at.session_state["race"]
    assert isinstance(race, Race)
    return race


@pytest.fixture
def open_page() -> Iterator[Start]:
    """Open the page with some settings; races end with the test."""
    opened: list[AppTest] = []

    def start(**settings: Any) -> AppTest:
        at = AppTest.from_file(MAIN, default_timeout=60).run()
        opened.append(at)
        at.switch_page("views/fine_tune/page.py").run()
        chosen: dict[str, Any] = {"ft_task": "planted-blocks", "ft_steps": 3} | settings
        for kind in (at.selectbox, at.multiselect, at.number_input, at.slider):
            for widget in kind:
                if widget.key in chosen:
                    widget.set_value(chosen.pop(widget.key))
        at.run()
        # The boxes of the rates come with the methods.
        for key, value in chosen.items():
            at.number_input(key=key).set_value(value)
        return at.run() if chosen else at

    yield start
    for at in opened:
        if "race" in at.session_state:
            race_of(at).stop()
            assert race_of(at).join(60)


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the task's own number of steps one whose end no test sees."""
    monkeypatch.setenv("LOLORA_MAX_STEPS", str(LONG))
    monkeypatch.setenv("LOLORA_MAX_RACE_SECONDS", "1e9")
    own = TASKS["planted-blocks"]
    monkeypatch.setitem(TASKS, "planted-blocks", replace(own, steps=LONG))


def trained(at: AppTest, button: str = "ft_start") -> AppTest:
    """Press a button that starts a race, wait for its end and look again."""
    at.button(key=button).click().run()
    assert not at.exception
    assert race_of(at).join(60)
    at.run()
    assert not at.exception
    return at


def stamp(at: AppTest) -> str:
    """Return the large words beside the answer."""
    (found,) = (html.proto.body for html in at.main.get("html") if html.proto.body[:3] == "<p ")
    return re.sub("<[^>]*>", "", found)


def table(at: AppTest) -> dict[str, dict[str, Any]]:
    """Return the rows by method."""
    (frame,) = (f.value for f in at.dataframe if "rank of ΔW" in f.value)
    rows: Any = frame.set_index("method").to_dict("index")
    return dict(rows)


def test_the_page_before_a_race(open_page: Start) -> None:
    at = AppTest.from_file(MAIN, default_timeout=60).run()
    at.switch_page("views/fine_tune/page.py").run()
    assert [title.value for title in at.title] == ["Fine-tune"]
    assert not at.exception
    assert at.main.markdown[0].value.startswith("Pick a task and methods in the sidebar")
    assert "race" not in at.session_state
    assert not at.get("plotly_chart")
    keys = {button.key for button in at.button}
    assert "ft_start" in keys
    assert not keys & {"ft_pause", "ft_resume"}
    assert all(at.button(key=f"ft_{key}").disabled for key in ("step", "stop", "again"))
    # The task, what the base makes of it, and a line for each method that is picked.
    assert TASKS["digits-rotated"].goal in text(at)
    found = compute_task.before("digits-rotated", 0)
    assert [metric.value for metric in at.metric] == [
        f"{percent(score.metric)} right" for score in (found.known, found.new) if score
    ]
    (gallery,) = (h.proto.body for h in at.main.get("html") if "<figure" in h.proto.body)
    assert gallery.count("<img") == 10
    assert gallery.count("✓") == 2 * sum(example.right for example in found.examples)
    picked = ["global", "diagonal", "localized", "full"]
    lines = "\n".join(
        f"- **{name}**: {METHODS[name].summary}" for name in METHODS if name in picked
    )
    assert lines in [caption.value for caption in at.sidebar.caption]
    assert at.selectbox(key="ft_task").options == [TASKS[name].title for name in TASKS]
    assert at.multiselect(key="ft_methods").options == list(METHODS)


def test_a_race_that_ends_while_the_page_is_drawn(
    open_page: Start, endless: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = buttons.draw

    def draw_then_end(race: Race | None, *, ended: bool) -> None:
        drawn(race, ended=ended)
        if race is not None and not ended:
            race.stop()
            assert race.join(60)

    at = open_page(ft_methods=["global"], ft_steps=None)
    at.button(key="ft_start").click().run()
    wait(lambda: race_of(at).state == "running")
    monkeypatch.setattr(buttons, "draw", draw_then_end)
    at.run()
    assert race_of(at).ended
    # All of one run is of one moment; the next look, which polling brings, has the end.
    assert at.button(key="ft_pause")
    assert not at.main.get("download_button")
    at.run()
    assert at.button(key="ft_start")
    assert at.main.get("download_button")


def test_a_race_that_waits_is_drawn_anew_when_it_has_changed(
    open_page: Start, endless: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = open_page(ft_methods=["global"], ft_steps=None)
    at.button(key="ft_start").click().run()
    race, place = race_of(at), Moment("queued", 2, 0)
    monkeypatch.setattr(Race, "moment", place)
    at.run()
    drawn: list[bool] = []
    monkeypatch.setattr(st, "rerun", lambda: drawn.append(True))
    heartbeat._watch(race, place)
    assert not drawn
    for changed in (place._replace(before=1), place._replace(state="running")):
        monkeypatch.setattr(Race, "moment", changed)
        heartbeat._watch(race, place)
    assert len(drawn) == 2


def test_the_end_needs_no_run_of_the_whole_page(
    open_page: Start, endless: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = open_page(ft_methods=["global"], ft_steps=None)
    at.button(key="ft_start").click().run()
    race = race_of(at)
    wait(lambda: race.lanes and race.lanes[0].records)
    race.stop()
    assert race.join(60)
    # What asks for that run may be lost; what is drawn before it is not.
    monkeypatch.setattr(st, "rerun", lambda: None)
    # The page decides to poll; then the part that is polled sees the end.
    monkeypatch.setattr(Race, "moment", Moment("running", 0, 1))
    at.run()
    assert not at.exception
    labels = {button.proto.label for button in at.main.get("download_button")}
    assert "Adapter, ZIP of safetensors" in labels
    assert at.button(key="ft_start")
    assert at.button(key="ft_stop").disabled


def test_a_race_on_the_page(open_page: Start) -> None:
    at = trained(open_page(ft_methods=["localized", "full", "global"]))
    race = race_of(at)
    assert race.state == "finished"
    losses = {lane.method: lane.outcome.loss for lane in race.lanes if lane.outcome}
    winner = min(losses, key=losses.__getitem__)
    assert at.main.markdown[0].value.startswith(f"**{winner}** is ahead with a test loss of 0.")
    assert "Choose two or more seeds" in text(at)
    assert stamp(at) == "Spread not known"
    shown = table(at)
    (frame,) = (f.value for f in at.dataframe if "rank of ΔW" in f.value)
    assert list(frame.columns[:3]) == ["method", "test loss", "test relative error"]
    # In the order of the registry, not of the clicks.
    assert list(shown) == ["global", "localized", "full"]
    for lane in race.lanes:
        row = shown[lane.method]
        assert row["parameters"] == lane.num_parameters
        assert row["what it trains"] == METHODS[lane.method].summary
        assert row["learning rate"] == f"{lane.lr:g}"
        assert float(row["test loss"]) == pytest.approx(losses[lane.method], rel=5e-3)
        assert row["rank of ΔW"] == str(np.linalg.matrix_rank(lane.deltas["layer"]))
    assert float(shown["full"]["distance to full"]) == 0
    # Loss, metric, spectra.
    assert len(at.get("plotly_chart")) == 3
    # A picture of each method and the scale.
    pictures = [html.proto.body for html in at.main.get("html")]
    assert sum("data:image/png;base64," in body for body in pictures) == 5
    assert any('alt="The change ΔW that must be learnt"' in body for body in pictures)
    assert any('alt="ΔW of full"' in body for body in pictures)
    assert "Rewind reaches 4 snapshots, of steps 0 to 3" in text(at)
    labels = {button.proto.label for button in at.main.get("download_button")}
    assert labels == {"Records, CSV", "Records and plan, JSON", "Adapter, ZIP of safetensors"}
    assert at.button(key="ft_stop").disabled
    for widget in (*at.slider, *at.number_input, *at.toggle, *at.selectbox, *at.multiselect):
        assert widget.proto.help, widget.label
    for button in at.button:
        assert button.proto.help or button.key in ("reset", "ft_open"), button.label
    # How near each came to the ΔW that is known: the page's words, the run's numbers.
    said = " ".join(found.value for found in at.main.markdown)
    for lane in race.lanes:
        assert lane.outcome is not None
        near = f"{lane.method} learned one of rank {max(lane.outcome.ranks)} and stays "
        assert f"{near}{format_error(lane.outcome.metric)} away" in said


def test_a_race_is_judged_where_it_would_have_stopped(open_page: Start) -> None:
    at = trained(
        open_page(ft_task="digits-rotated", ft_methods=["full"], ft_steps=40, **{"ft_lr.full": 0.3})
    )
    (lane,) = race_of(at).lanes
    assert lane.outcome is not None
    stopped, last = lane.outcome.stopped_loss, lane.outcome.loss
    assert at.main.markdown[0].value == (
        f"full reached a test loss of {format_error(stopped)}. It is stopped where its validation "
        "loss was lowest."
    )
    row = table(at)["full"]
    assert row["test loss"] == format_error(stopped) != format_error(last)
    assert row["loss, last step"] == format_error(last)
    assert row["test accuracy"] == format_error(lane.outcome.stopped_metric)
    assert row["accuracy, last step"] == format_error(lane.outcome.metric)
    assert row["stopped at"] == str(lane.outcome.stopped_step)


def test_rewinding_shows_the_snapshot(open_page: Start) -> None:
    at = trained(open_page(ft_methods=["full"]))
    assert "seed 0, after step 3." in text(at)
    at.slider(key="ft_rewind").set_value(0).run()
    assert "seed 0, after step 0." in text(at)
    assert "**full** · ‖ΔW‖ 0" in text(at)
    # A shorter race has a shorter slider.
    at.number_input(key="ft_steps").set_value(2).run()
    trained(at)
    assert at.slider(key="ft_rewind").max == 2
    assert not at.exception


@pytest.mark.parametrize("method", ["full", "localized"])
def test_a_learned_update_opens_in_compare(open_page: Start, method: str) -> None:
    at = trained(open_page(ft_methods=["localized", "full"]))
    assert at.selectbox(key="ft_open_method").value == "full"
    at.selectbox(key="ft_open_method").set_value(method).run()
    (lane,) = race_of(at).lanes_of(method)
    at.button(key="ft_open").click().run()
    assert not at.exception
    assert [title.value for title in at.title] == ["Compare"]
    assert at.selectbox(key="target").value == UPLOAD
    assert f"ΔW of layer that {method} learned in 3 steps of" in text(at)
    found = compute.recall(at.session_state["last_good"])
    np.testing.assert_array_equal(found.array, lane.deltas["layer"])
    # The race is still there.
    at.switch_page("views/fine_tune/page.py").run()
    assert not at.exception
    assert list(table(at)) == ["localized", "full"]


def test_an_update_of_peft_opens_in_compare_as_the_library_makes_it(open_page: Start) -> None:
    at = trained(open_page(ft_methods=["localized", "peft-lokr"], ft_steps=5))
    at.selectbox(key="ft_open_method").set_value("peft-lokr").run()
    at.button(key="ft_open").click().run()
    assert not at.exception
    assert [title.value for title in at.title] == ["Compare"]
    assert "ΔW of layer that peft-lokr learned in 5 steps of" in text(at)
    with one_thread():
        run = fine_tune("planted-blocks", Method("peft-lokr", rank=8, grid=4), steps=5)
        list(run)
    shown = compute.recall(at.session_state["last_good"]).array
    assert shown.any()
    np.testing.assert_array_equal(shown, run.deltas()["layer"].numpy(force=True))


def test_two_seeds_give_an_interval(open_page: Start) -> None:
    at = trained(open_page(ft_methods=["localized", "frozen"], ft_seeds=2))
    answer = at.main.markdown[0].value
    assert answer.startswith("**localized** is ahead with a mean test loss of 0.")
    assert "over 2 seeds" in answer
    runs = race_end._runs(race_of(at).lanes)
    pair = MethodComparison(TASKS["planted-blocks"], runs).paired("frozen", "localized")
    assert stamp(at) == ("Larger" if pair.is_clear else "Not larger") + " than the spread"
    (meaning,) = (c for c in at.main.caption if "95 % t-interval" in c.proto.help)
    assert f"{format_error(pair.low)} to {format_error(pair.high)}" in meaning.proto.help
    assert "±" in table(at)["localized"]["test loss"]
    assert "Mean ± standard deviation over the seeds." in text(at)
    assert "Line: mean over 2 seeds; band: from the lowest to the highest." in text(at)


def test_a_race_that_was_stopped_after_its_first_seed(make: Make) -> None:
    race = make(plan("global", "localized", steps=3, seeds=(0, 1)))
    race.pause()
    race.start()
    for _ in range(4):
        race.step()
    wait(lambda: len(race.lanes) == 4 and race.state == "paused")
    race.step()
    wait(lambda: race.lanes[-1].records)
    verdict = race_end.verdict(race, ended=False)
    assert "is ahead with a test loss of" in verdict.answer
    assert verdict.meaning == "One seed of 2 is done; wait for the next."


def test_a_changed_setting_is_told(open_page: Start) -> None:
    at = trained(open_page(ft_methods=["global"]))
    assert not at.info
    at.slider(key="ft_rank").set_value(3).run()
    assert [found.value for found in at.info] == [
        "This race began with other settings than those in the sidebar."
    ]
    at.slider(key="ft_rank").set_value(8).run()
    assert not at.info


def test_a_rate_that_diverges_is_a_warning(open_page: Start) -> None:
    at = trained(open_page(ft_methods=["global", "localized"], **{"ft_lr.global": 1e12}))
    (warning,) = (found.value for found in at.warning)
    assert warning == as_text(race_of(at).lanes[0].problem)
    assert "loss became " in warning
    assert at.main.markdown[0].value.startswith("**localized** is ahead with a test loss of 0.")
    assert list(table(at)) == ["global", "localized"]
    assert table(at)["global"]["test loss"] == "–"


def test_a_method_that_cannot_start_has_no_numbers(open_page: Start) -> None:
    at = trained(open_page(ft_methods=["global", "peft-gralora"], ft_rank=3))
    assert "peft-gralora takes no part" in at.warning[0].value
    row = table(at)["peft-gralora"]
    assert row["learning rate"] == row["test loss"] == row["time"] == "–"
    assert pd.isna(row["parameters"])


def test_no_method_is_an_error_said_once(open_page: Start) -> None:
    at = open_page(ft_methods=[])
    at.button(key="ft_start").click().run()
    assert [error.value for error in at.error] == ["Choose at least one method."]
    assert "race" not in at.session_state
    at.multiselect(key="ft_methods").set_value(["global"]).run()
    assert not at.error


@pytest.mark.usefixtures("endless")
def test_the_buttons_of_a_running_race(open_page: Start) -> None:
    at = open_page(ft_methods=["global"], ft_steps=None)
    at.button(key="ft_start").click().run()
    race = race_of(at)
    at.run()
    assert "ft_start" not in {button.key for button in at.button}
    assert race_of(at) is race
    at.button(key="ft_pause").click().run()
    assert not at.error
    wait(lambda: race.state == "paused")
    made = len(race.lanes[0].records)
    at.button(key="ft_step").click().run()
    wait(lambda: len(race.lanes[0].records) == made + 1)
    assert "ft_pause" not in {button.key for button in at.button}
    at.button(key="ft_resume").click().run()
    wait(lambda: len(race.lanes[0].records) > made + 1)
    assert "ft_resume" not in {button.key for button in at.button}
    at.button(key="ft_stop").click().run()
    assert race.join(60)
    at.run()
    assert at.main.markdown[0].value == "Nobody has won: no method was trained to its last step."
    assert "Stopped: step " in text(at)
    assert at.button(key="ft_start")
    assert not at.exception


def test_the_first_story_is_one_click(open_page: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOLORA_MAX_STEPS", str(LONG))
    monkeypatch.setenv("LOLORA_MAX_RACE_SECONDS", "1e9")
    own = TASKS["planted-blocks"]
    monkeypatch.setitem(TASKS, "planted-blocks", replace(own, steps=4))
    at = open_page(ft_task="digits-rotated", ft_methods=["full"], **{"ft_lr.full": 0.5})
    assert "global and localized get 2,048 parameters each" in text(at)
    trained(at, "ft_story")
    race = race_of(at)
    assert (race.plan.task, race.plan.methods) == ("planted-blocks", ("global", "localized"))
    assert race.plan.rates == (None, None)
    assert [lane.num_parameters for lane in race.lanes] == [2048] * 6
    assert at.selectbox(key="ft_task").value == "planted-blocks"
    assert not at.info
    assert "than the spread" in stamp(at)


def test_the_same_seed_again_and_a_new_one(open_page: Start) -> None:
    at = trained(open_page(ft_methods=["global"], ft_seed=5))
    first = race_of(at)
    trained(at, "ft_again")
    again = race_of(at)
    assert again is not first
    assert again.plan == first.plan
    assert again.lanes[0].outcome == first.lanes[0].outcome
    trained(at, "ft_new_seed")
    assert race_of(at).plan.seeds == (6,)
    assert at.number_input(key="ft_seed").value == 6
    assert race_of(at).lanes[0].outcome != first.lanes[0].outcome


def test_a_plan_comes_back_from_a_settings_file(open_page: Start) -> None:
    at = trained(
        open_page(
            ft_task="digits-rotated",
            ft_methods=["diagonal", "frozen"],
            ft_rank=5,
            ft_grid=2,
            ft_seed=9,
            ft_steps=1,
            **{"ft_lr.diagonal": 0.02},
        )
    )
    settings = {s.key: at.session_state[s.key] for s in OF_PAGE["fine_tune"]
                if s.key in at.session_state}  # fmt: skip
    other = open_page()
    file = ("settings.json", json.dumps(settings).encode(), "application/json")
    other.session_state["share"] = True
    other.run()
    other.file_uploader(key="settings_file").set_value(file).run()
    assert not other.warning
    other.button(key="ft_start").click().run()
    assert race_of(other).plan == race_of(at).plan
    assert race_of(at).plan.rates == (0.02, None)


@pytest.mark.usefixtures("endless")
def test_reset_ends_the_race_that_runs(open_page: Start) -> None:
    at = open_page(ft_methods=["global"], ft_steps=None)
    at.button(key="ft_start").click().run()
    first = race_of(at)
    at.button(key="ft_again").click().run()
    assert not at.error
    assert race_of(at) is not first
    assert race_of(at).plan == first.plan
    wait(lambda: first.state == "stopped")
    race_of(at).stop()


def test_the_scale_of_the_updates_is_a_part_of_the_largest(open_page: Start) -> None:
    at = trained(open_page(ft_methods=["global"]))
    at.button_group(key="ft_scale").set_value(1).run()
    race = race_of(at)
    largest = race.film.limit(["global"], "layer")
    assert f"from −{largest:.3g} to {largest:.3g}: the largest change so far" in text(at)
    assert "% beyond" not in text(at)
    at.button_group(key="ft_scale").set_value(8).run()
    assert f"{largest / 8:.3g}: 1/8 of the largest" in text(at)
    assert "% beyond" in text(at)
