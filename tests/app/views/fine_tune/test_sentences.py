"""The sentences and the figures of a race, without a page."""

from __future__ import annotations

import numpy as np
import pytest

from app.shared.style import METHOD_LINES
from app.views.fine_tune import figures, verdict_words
from app.views.fine_tune import sentences as prose
from app.views.fine_tune.jobs import Lane, Race, State
from app.views.fine_tune.lanes import Outcome
from lolora_core.training import METHODS, Paired, Record
from lolora_core.training.compare import Lead
from tests.app.drawn import checked
from tests.app.views.fine_tune.race_tools import Clock, plan

DONE = Outcome(0.5, 0.5, (4,), None, 3, 0.4, 0.6)


def record(step: int, rate: float = 100.0) -> Record:
    return Record(step, 0.5, 0.5, 0.5, 1.0, 0.1, rate if step else 0.0, 100)


def lane(method: str, steps: int, seed: int = 0, **changes: object) -> Lane:
    made = Lane(method, seed, records=[record(step) for step in range(steps)])
    for name, value in changes.items():
        setattr(made, name, value)
    return made


class Training:
    """Stands for a run that can go on."""

    finished = False


def race(state: State, *lanes: Lane, seeds: tuple[int, ...] = (0,)) -> Race:
    made = Race(plan("global", "localized", steps=400, seeds=seeds), clock=Clock())
    made.state = state
    made.lanes.extend(lanes)
    return made


def test_where_a_race_stands() -> None:
    assert prose.state(race("preparing")) == "Preparing the base and its examples …"
    assert prose.short_state(race("preparing")) == "Fine-tune: preparing, step 0 of 400"
    stopped = race("stopped", lane("global", 8), lane("localized", 7))
    assert prose.state(stopped) == "Stopped: step 7 of 400."
    # The last method takes no part; the step is that of the others.
    one_out = race("paused", lane("global", 8), lane("localized", 0, problem="out"))
    assert prose.state(one_out) == "Paused: step 7 of 400."
    second = race("paused", lane("global", 401, outcome=DONE), lane("global", 3, 9), seeds=(0, 9))
    assert prose.short_state(second) == "Fine-tune: paused, seed 9 (2 of 2), step 2 of 400"


def test_time_left_and_samples_a_second_while_it_runs() -> None:
    first, second = lane("global", 101, run=Training()), lane("localized", 101, run=Training())
    second.records[-1] = record(100, rate=12345.0)
    running = race("running", first, second)
    assert prose.state(running).startswith("Running: step 100 of 400; a method trains on 100 to ")
    running._busy_seconds, running._steps_done = 20.2, 202
    assert prose.state(running) == (
        "Running: step 100 of 400; about 1 min 0 s left; a method trains on 100 to 12,345 samples "
        "a second."
    )
    # Another thread may look before the first record is there.
    early = race("running", lane("global", 0, run=Training()), lane("localized", 0))
    assert prose.state(early) == "Running: step 0 of 400."


def test_problems_are_said_once_with_their_seed() -> None:
    out = "global takes no part: reason"
    assert prose.problems(race("running", lane("global", 0, problem=out))) == [out]
    both = race(
        "running", lane("global", 0, problem=out), lane("global", 0, 1, problem=out), seeds=(0, 1)
    )
    assert prose.problems(both) == [f"Seed 0: {out}", f"Seed 1: {out}"]


def test_who_is_ahead() -> None:
    stopped = " Each is stopped where its validation loss was lowest."
    losses = {"a": 0.25, "b": 0.25, "c": 1.0}
    tied = verdict_words.of_one_seed(losses, 1, losses)
    assert tied.answer == f"a and b have the same test loss, 0.250; c has 1.00.{stopped}"
    losses = {"a": 0.25, "b": 0.25}
    all_tied = verdict_words.of_one_seed(losses, 1, losses)
    assert all_tied.answer == f"a and b have the same test loss, 0.250.{stopped}"
    losses = {"a": 1.0, "b": 2.0}
    early = verdict_words.of_one_seed(losses, 3, losses)
    assert early.meaning == "One seed of 3 is done; wait for the next."
    alone = verdict_words.open_race(["full"], ended=False)
    assert alone.answer.startswith("Training full. ")
    assert verdict_words.open_race(["full"], ended=True).answer.startswith("Nobody has won")


def test_a_tie_over_seeds_is_called_one() -> None:
    tie = Lead("a", "b", 0.1, 0.1, Paired(0.0, 0.1, -0.1, 0.1))
    said = verdict_words.of_seeds(tie, 3, {"a": 0.1, "b": 0.1})
    assert said.answer == (
        "a and b tie with a mean test loss of 0.100 over 3 seeds. Each is stopped where its "
        "validation loss was lowest."
    )
    assert said.stamp == "Not larger than the spread"


def test_another_order_after_the_last_step_is_said() -> None:
    last = {"a": 0.5, "b": 0.3}
    clear = Lead("a", "b", 0.1, 0.2, Paired(0.1, 0.0, 0.1, 0.1))
    for said in (
        verdict_words.of_one_seed({"a": 0.1, "b": 0.2}, 1, last),
        verdict_words.of_seeds(clear, 3, last),
    ):
        assert said.answer.startswith("**a** is ahead with a ")
        assert said.answer.endswith(
            " After the last step b would be ahead with 0.300; a has 0.500."
        )
    # What prints as equal is no other order.
    near = {"a": 0.50001, "b": 0.5}
    assert "last step" not in verdict_words.of_one_seed({"a": 0.1, "b": 0.2}, 1, near).answer


def test_facts_of_spectra() -> None:
    flat, steep = np.ones(50), np.array([1.0, 1e-3])
    facts = prose.spectrum_facts({"full": flat, "global": steep})
    assert facts == "98 % of the energy of ΔW lies in 49 singular values for full and 1 for global."
    zero = {"frozen": np.zeros(2), "global": np.zeros(2)}
    assert prose.spectrum_facts(zero) == "ΔW is 0 for frozen and global."


def test_losses_that_print_as_equal_are_a_tie() -> None:
    losses = {"localized": 0.67901, "adaptive": 0.67914, "global": 0.7}
    said = verdict_words.of_one_seed(losses, 1, losses)
    assert said.answer.startswith(
        "localized and adaptive have the same test loss, 0.679; global has 0.700."
    )


def test_captions_name_the_best_first_and_the_band() -> None:
    latest = {"global": 0.2, "localized": 0.1}
    least = prose.curve_caption(race("running"), "Loss", latest, least=True)
    assert least == "Loss over the steps. Now: localized 0.100 and global 0.200."
    most = prose.curve_caption(race("running"), "Accuracy", latest, least=False)
    assert most == "Accuracy over the steps. Now: global 0.200 and localized 0.100."
    seeds = (0, 1, 2)
    done = [lane("global", 401, seed, outcome=DONE) for seed in (0, 1)]
    third = race("running", *done, lane("global", 3, 2), seeds=seeds)
    text = prose.curve_caption(third, "Loss", latest, least=True)
    assert text.endswith(
        " Line: mean over 2 seeds; band: from the lowest to the highest. Thin: seed 2, in training."
    )
    third.state = "stopped"
    assert "Thin" not in prose.curve_caption(third, "Loss", latest, least=True)


def test_every_method_has_a_line_of_its_own() -> None:
    assert set(METHOD_LINES) == set(METHODS)
    looks = {name: (line.colour, line.dash, line.width) for name, line in METHOD_LINES.items()}
    assert len(set(looks.values())) == len(METHODS)
    curves = [figures.gather(name, [((0, 1), (2.0, 1.0), True)]) for name in METHODS]
    drawn = checked(figures.curves_figure(curves, "loss", 1)).data
    spectra = checked(figures.spectra_figure({name: np.array([2.0, 1.0]) for name in METHODS})).data
    for traces in (drawn, spectra):
        assert {t.name: (t.line.color, t.line.dash, t.line.width) for t in traces} == looks


def test_gathering_leaves_out_what_is_not_whole() -> None:
    whole, other = ((0, 2, 4), (3.0, 2.0, 1.0), True), ((0, 2, 4), (5.0, 2.0, 3.0), True)
    begun = ((0, 2), (9.0, 8.0), False)

    curve = figures.gather("full", [whole, other, begun])
    assert (curve.seeds, curve.mean.tolist()) == (2, [4.0, 2.0, 2.0])
    assert (curve.low.tolist(), curve.high.tolist()) == ([3.0, 2.0, 1.0], [5.0, 2.0, 3.0])
    assert curve.running is not None
    assert [part.tolist() for part in curve.running] == [[0, 2], [9.0, 8.0]]

    # While the first seed trains, it is the curve; so is one that ended too early.
    curve = figures.gather("full", [begun])
    assert (curve.seeds, curve.steps.tolist(), curve.running) == (1, [0, 2], None)
    curve = figures.gather("full", [begun, whole])
    assert (curve.seeds, curve.mean.tolist(), curve.running) == (1, [3.0, 2.0, 1.0], None)


def test_long_curves_are_thinned_and_keep_their_ends() -> None:
    steps = tuple(range(5001))
    curve = figures.gather("full", [(steps, tuple(float(s) for s in steps), True)])
    assert len(curve.steps) == figures.MAX_POINTS
    assert (curve.steps[0], curve.steps[-1]) == (0, 5000)
    np.testing.assert_array_equal(curve.mean, curve.steps)


def test_curves_have_a_band_only_over_seeds() -> None:
    one = figures.gather("full", [((0, 1), (2.0, 1.0), True)])
    two = figures.gather("full", [((0, 1), (2.0, 1.0), True), ((0, 1), (4.0, 1.0), True)])
    assert len(checked(figures.curves_figure([one], "loss", 1)).data) == 1
    band, line = checked(figures.curves_figure([two], "loss", 1)).data
    assert band.fill == "toself"
    assert list(band.y) == [4, 1, 1, 2]
    assert list(line.y) == [3, 1]
    point = figures.gather("full", [((0,), (2.0,), False)])
    assert checked(figures.curves_figure([point], "loss", 1)).data[0].mode == "markers"
    empty = checked(figures.curves_figure([], "loss", 9, logarithmic=True))
    assert empty.layout.yaxis.type == "log"


def test_spectra_end_at_a_thousandth_of_the_largest() -> None:
    figure = checked(
        figures.spectra_figure({"full": np.array([2.0, 1.0, 1e-3]), "frozen": np.zeros(3)})
    )
    assert [list(trace.y) for trace in figure.data] == [[2, 1], []]
    low, high = figure.layout.yaxis.range
    assert (10**low, 10**high) == pytest.approx((1 / 1.3, 2 * 1.3))
    zero = checked(figures.spectra_figure({"frozen": np.zeros(3)}))
    assert (list(zero.data[0].y), zero.layout.yaxis.type) == ([], "linear")
    assert not figures.spectra_figure({}).data
