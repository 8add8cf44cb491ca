"""The search for learning rates on the page, against the library's."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app.shared import experiment, pool
from app.shared.common import DEVICE
from app.shared.line import Line
from app.shared.pool import LostError, Pool
from app.shared.words import as_text
from app.views.fine_tune import limits, rate_search, snippets
from app.views.fine_tune import rates_words as words
from app.views.fine_tune.jobs import Race
from app.views.fine_tune.lanes import RacePlan
from lolora_core.training import METHODS, TASKS, Method, search_lr
from lolora_core.training.rates import RATES
from tests.app.test_pages import opened, text
from tests.app.views.fine_tune.race_tools import LONG, ThreadPlace, plan, wait

Found = dict[str, Any]


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    rate_search._held.clear()
    yield
    rate_search._held.clear()


def unseen(share: float, words: str) -> None:
    pass


def losses(asked: RacePlan, method: str) -> dict[float, float]:
    found = rate_search.curves(asked)
    rows = found[found["method"] == method]
    return {
        rate: math.inf if math.isnan(loss) else loss
        for rate, loss in zip(rows["lr"], rows["loss"], strict=True)
    }


def test_a_search_finds_what_the_library_finds() -> None:
    asked = plan("global", "localized", "full", steps=6, seeds=(3,))
    seen: list[int] = []
    rate_search.search(asked, unseen, lambda: seen.append(len(rate_search.curves(asked))))
    assert rate_search.is_done(asked)
    assert seen == list(range(1, len(rate_search.curves(asked)) + 1))
    for name in asked.methods:
        own = search_lr(
            "planted-blocks", Method(name, rank=4, grid=4), seeds=(3,), steps=6, device="cpu"
        )
        assert losses(asked, name) == own.losses
        assert rate_search.best(asked)[name] == own.best
    # It went beyond where the best was the last one tried.
    assert max(losses(asked, "global")) > max(RATES)
    made: Found = {}
    exec(snippets.search(asked), made)
    assert made["losses"] == {name: losses(asked, name) for name in asked.methods}


def test_a_search_goes_on_where_it_was() -> None:
    asked, made = plan("global", "localized", steps=3), list[str]()

    def stop_in_the_third(share: float, words: str) -> None:
        made.append(words)
        if "run 3 of 10" in words:
            raise InterruptedError

    with pytest.raises(LostError, match="The search ended: InterruptedError"):
        rate_search.search(asked, stop_in_the_third, lambda: None)
    # Rate by rate, all methods at each.
    assert rate_search.curves(asked)["method"].tolist() == ["global", "localized"]
    assert made[0] == "run 1 of 10: global at 0.001"
    assert made[-1].startswith("run 3 of 10: global at 0.00316")
    assert not rate_search.is_done(asked)
    before = losses(asked, "global")
    rate_search.search(asked, lambda share, words: made.append(words), lambda: None)
    assert rate_search.is_done(asked)
    assert losses(asked, "global").items() > before.items()
    assert "run 1 of 8: global at 0.00316" in made


def test_what_cannot_be_searched_is_said_and_holds_nobody_up() -> None:
    asked = plan("frozen", "peft-gralora", "global", steps=2, rank=3)
    rate_search.search(asked, unseen, lambda: None)
    assert rate_search.is_done(asked)
    nothing, too_small = rate_search.problems(asked)
    assert nothing == "frozen trains nothing on this task: no rate matters"
    assert too_small.startswith("peft-gralora takes no part: ")
    assert set(rate_search.best(asked)) == {"global"}


def test_rates_that_diverge_have_no_point_and_are_never_best(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rate_search, "RATES", (1e-3, 1e-2, 1e15))
    asked = plan("full", task="digits-rotated", steps=20)
    rate_search.search(asked, unseen, lambda: None)
    assert math.isinf(losses(asked, "full")[1e15])
    assert rate_search.best(asked)["full"] < 1
    monkeypatch.setattr(rate_search, "RATES", (1e15,))
    monkeypatch.setattr(rate_search, "next_rate", lambda found: None)
    rate_search.search(asked, unseen, lambda: None)
    assert rate_search.best(asked) == {}


def test_a_search_stands_in_line_like_a_race() -> None:
    line = Line(1)
    line.enter("a race", "me")
    asked = plan("global", steps=2)
    said: list[str] = []

    def show(share: float, words: str) -> None:
        said.append(words)
        if "waiting for your own race" in words:
            line.leave("a race")

    own = Pool(line, [ThreadPlace()])
    with pytest.MonkeyPatch.context() as patch, pool.visiting("me"):
        patch.setattr(pool, "_pool", lambda: own)
        rate_search.search(asked, show, lambda: None)
    assert any("waiting for your own race" in words for words in said)
    assert rate_search.is_done(asked)


def test_the_host_limits_steps_and_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "seconds_a_step", lambda task: 0.01)
    asked = plan("global", "localized", steps=400)
    # Twelve runs: a minute is enough for 500 steps each.
    assert limits.search_steps(asked) == 400
    assert limits.search_steps(replace(asked, steps=4000)) == 500
    monkeypatch.setenv("LOLORA_MAX_STEPS", "50")
    assert limits.search_steps(asked) == 50
    monkeypatch.setenv("LOLORA_MAX_RACE_SECONDS", "3")
    assert limits.search_steps(asked) == 25
    monkeypatch.setenv("LOLORA_MAX_RACE_SECONDS", "2")
    with pytest.raises(ValueError, match=r"about 2 s: 2 methods × 6 rates × 20 .* Choose fewer"):
        limits.search_steps(asked)
    with pytest.raises(ValueError, match="Choose at least one method"):
        limits.search_steps(RacePlan("image", (), (), 4, 4, (0,)))


def test_a_search_is_ended_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, over = plan("global", steps=200), r"ended after 0 s of training, the most that this"
    monkeypatch.setenv("LOLORA_MAX_RACE_SECONDS", "1e-9")
    with pytest.raises(LostError, match=over):
        rate_search.search(asked, unseen, lambda: None)
    # In the middle of its first run.
    assert rate_search.curves(asked).empty
    monkeypatch.setenv("LOLORA_MAX_RACE_SECONDS", "1e9")
    with pytest.raises(LostError, match="InterruptedError"):
        rate_search.search(asked, stop_at_the_second, lambda: None)
    # What its runs took counts: no other is begun.
    monkeypatch.setenv("LOLORA_MAX_RACE_SECONDS", "1e-9")
    monkeypatch.setattr(rate_search, "fine_tune", None)
    with pytest.raises(LostError, match=over):
        rate_search.search(asked, unseen, lambda: None)
    assert len(rate_search.curves(asked)) == 1


def stop_at_the_second(share: float, words: str) -> None:
    if "run 2" in words:
        raise InterruptedError


def search_of(at: AppTest) -> RacePlan:
    """Return what was searched."""
    plan: RacePlan = at.session_state["rates_asked"][1]
    return plan


def page(**query: Any) -> AppTest:
    at = opened("fine_tune")
    asked = {"ft_task": "planted-blocks", "ft_steps": 3, "ft_methods": ["localized", "full"]}
    for key, value in {**asked, **query}.items():
        at.query_params[key] = value if isinstance(value, list) else str(value)
    return at.run()


def test_a_search_on_the_page_sets_the_rates_of_the_next_race() -> None:
    at = page(ft_rank=4)
    assert words.asked(["localized", "full"], 0.001, 0.1, 3, 0) in text(at)
    at.button(key="ft_rates_search").click().run()
    assert not at.exception
    asked = search_of(at)
    assert asked == plan("localized", "full", steps=3, device=asked.device)
    best = rate_search.best(asked)
    assert set(best) == {"localized", "full"}
    assert f"localized {best['localized']:g} (loss " in text(at)
    assert words.ONE_SEED in text(at)
    assert len(at.get("plotly_chart")) == 1
    # Nothing is left of the search itself.
    assert not {"ft_rates_search", "stop_rates", "continue_rates"} & {b.key for b in at.button}
    at.button(key="ft_rates_use").click().run()
    assert not at.exception
    for method, rate in best.items():
        assert at.number_input(key=f"ft_lr.{method}").value == rate
    assert words.IN_USE in text(at)
    assert "ft_rates_use" not in {button.key for button in at.button}
    at.button(key="ft_start").click().run()
    race = at.session_state["race"]
    assert isinstance(race, Race)
    assert race.plan.rates == (best["localized"], best["full"])
    assert race.join(60)
    at.run()
    # After a race it is still there.
    assert words.IN_USE in text(at)
    # Another budget has other rates.
    at.slider(key="ft_rank").set_value(5).run()
    assert at.button(key="ft_rates_search")
    assert words.ONE_SEED not in text(at)


def test_a_search_that_was_stopped_goes_on_when_asked() -> None:
    at = page(ft_rank=4)
    asked = plan("localized", "full", steps=3, device=DEVICE.default)
    with pytest.raises(LostError):
        rate_search.search(asked, stop_at_the_second, lambda: None)
    at.session_state["stopped_rates"] = asked
    at.button(key="ft_rates_search").click().run()
    assert words.STOPPED in text(at)
    # What is known is shown, and nothing was searched.
    assert len(rate_search.curves(asked)) == 1
    assert f"{words.BEGUN} Best rate: localized 0.001 (loss " in text(at)
    assert "ft_rates_use" not in {button.key for button in at.button}
    at.button(key="continue_rates").click().run()
    assert not at.exception
    assert rate_search.is_done(asked)
    assert words.BEGUN not in text(at)
    assert at.button(key="ft_rates_use")


def test_a_search_that_fails_is_a_sentence_and_can_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    real = rate_search.fine_tune

    def fail(*args: Any, **options: Any) -> Any:
        raise RuntimeError("CUDA error: the device is lost.\nCompile with …")

    monkeypatch.setattr(rate_search, "fine_tune", fail)
    at = page(ft_rank=4)
    at.button(key="ft_rates_search").click().run()
    assert not at.exception
    assert [error.value for error in at.error] == [words.failed("CUDA error: the device is lost")]
    monkeypatch.setattr(rate_search, "fine_tune", real)
    at.button(key="continue_rates").click().run()
    assert not at.error
    assert at.button(key="ft_rates_use")


def test_fewer_steps_and_too_long_a_search_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "seconds_a_step", lambda task: 0.1)
    at = page(ft_rank=4, ft_steps=120)
    monkeypatch.setenv("LOLORA_MAX_RACE_SECONDS", "20")
    at.button(key="ft_rates_search").click().run()
    assert [error.value for error in at.error] == [
        as_text(
            "This search would take about 24 s: 2 methods × 6 rates × 20 steps. This server "
            "trains for at most 20 s. Choose fewer methods."
        )
    ]
    at.multiselect(key="ft_methods").set_value(["full"]).run()
    assert not at.error
    at.button(key="ft_rates_search").click().run()
    assert words.shorter(33, 120) in text(at)
    assert search_of(at).steps == 33
    assert rate_search.is_done(search_of(at))


def test_no_search_while_a_race_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOLORA_MAX_STEPS", str(LONG))
    monkeypatch.setenv("LOLORA_MAX_RACE_SECONDS", "1e9")
    own = TASKS["planted-blocks"]
    monkeypatch.setitem(TASKS, "planted-blocks", replace(own, steps=LONG))
    at = page(ft_rank=4, ft_steps="")
    at.button(key="ft_start").click().run()
    race = at.session_state["race"]
    try:
        wait(lambda: race.state == "running")
        at.run()
        assert at.button(key="ft_rates_search").disabled
        # One that was asked for before waits.
        wanted = replace(plan("localized", "full", device=DEVICE.default), steps=None)
        asked = replace(wanted, steps=3)
        at.session_state["rates_asked"] = (wanted, asked)
        at.run()
        assert words.WAITS in text(at)
        assert not len(rate_search._held)
    finally:
        race.stop()
        assert race.join(60)
    at.run()
    assert words.WAITS not in text(at)
    assert rate_search.is_done(asked)


def test_clicks_reach_the_page_while_it_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    # A click in a fragment would wait for the end of the search.
    fragments: list[str] = []
    fragment = st.fragment

    def noted(function: Any, **options: Any) -> Any:
        fragments.append(function.__name__)
        return fragment(function, **options)

    monkeypatch.setattr(st, "fragment", noted)
    at = page(ft_rank=4)
    assert fragments.count("_live") == 1
    at.button(key="ft_rates_search").click().run()
    assert fragments.count("_live") == 1
    at.run()
    assert fragments.count("_live") == 2


def test_the_experiments_curves_stand_beside(
    monkeypatch: pytest.MonkeyPatch, measured: Found
) -> None:
    monkeypatch.setattr(experiment, "committed", lambda: measured)
    at = page(ft_rank=6)
    assert "**In the experiment, at r = 4**" in [said.value for said in at.markdown]
    assert len(at.get("plotly_chart")) == 1
    (caption,) = (c.value for c in at.caption if words.KNOWN in c.value)
    rate = measured["results"][0]["methods"]["localized"]["lr"]
    assert caption.startswith(f"Best rate: localized {rate:g} (loss ")
    assert "global" not in caption
    at.multiselect(key="ft_methods").set_value(["diagonal"]).run()
    assert not at.get("plotly_chart")


def test_every_method_can_be_searched_on_the_smallest_task() -> None:
    assert {name for name in METHODS if METHODS[name].has_budget} > {"localized", "peft-oft"}
    asked = plan("peft-oft", "peft-lokr", "adaptive", "hybrid", steps=2)
    rate_search.search(asked, unseen, lambda: None)
    assert set(rate_search.best(asked)) == set(asked.methods)
