"""Races → sentences. No streamlit here, so that every sentence can be tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from app.shared.words import format_error, join_words, percent, three_digits

if TYPE_CHECKING:
    from app.views.fine_tune.jobs import Race

__all__ = [
    "FIRST_STEP",
    "NOTHING_LEARNED",
    "NO_LONGER_HELD",
    "RATES",
    "SETTINGS_CHANGED",
    "SPECTRA",
    "curve_caption",
    "duration",
    "far_below",
    "picture_facts",
    "problems",
    "short_state",
    "span",
    "spectrum_facts",
    "state",
    "what_methods_train",
]

SPECTRA = (
    "How many patterns each ΔW is made of: its singular values, largest first, down to a "
    "thousandth of the largest."
)
NO_LONGER_HELD = "The last race of this tab is gone: this server started anew, or needed the room."
SETTINGS_CHANGED = "This race began with other settings than those in the sidebar."
RATES = "How large a step each method takes at most. An empty box takes a rate that works."
FIRST_STEP = "Appears with the first step."
NOTHING_LEARNED = "No method has learned a ΔW other than 0."


def duration(seconds: float) -> str:
    """Return a time in seconds, or in minutes and seconds.

    Examples
    --------
    >>> duration(0.3), duration(59.6), duration(125)
    ('1 s', '1 min 0 s', '2 min 5 s')
    """
    whole = max(1, round(seconds))
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"


def _where(race: Race) -> str:
    seeds = race.plan.seeds
    lanes = [lane for lane in race.lanes if lane.seed == race.seed and lane.records]
    step = max((lane.records[-1].step for lane in lanes), default=0)
    text = f"step {step:,} of {race.num_steps:,}"
    if len(seeds) > 1:
        text = f"seed {race.seed} ({seeds.index(race.seed) + 1} of {len(seeds)}), {text}"
    return text


def short_state(race: Race) -> str:
    """Return a few words for the sidebar."""
    if race.state == "queued":
        return f"Fine-tune: queued, {race.before} before you"
    return f"Fine-tune: {race.state}, {_where(race)}"


def state(race: Race) -> str:
    """Say where a race stands, with the time left."""
    if race.state == "queued":
        return f"Queued, {race.before} before you: training starts when a place is free."
    if race.state == "preparing":
        return "Preparing the base and its examples …"
    text = f"{race.state.capitalize()}: {_where(race)}"
    _, left = race.progress
    if race.state == "running" and left is not None:
        text += f"; about {duration(left)} left"
    # The race goes on meanwhile: a lane can be there before its first record.
    now = [lane for lane in race.lanes if lane.seed == race.seed and not lane.problem]
    last = [list(lane.records)[-1:] for lane in now]
    rates = [record.samples_per_second for records in last for record in records]
    rates = [rate for rate in rates if rate > 0]
    if race.state == "running" and rates:
        text += (
            f"; a method trains on {three_digits_range(min(rates), max(rates))} samples a second"
        )
    if race.state == "away":
        text += "; this page was not heard from for a while, training holds until it is"
    return f"{text}."


def three_digits_range(low: float, high: float) -> str:
    """Return two counts as a range, thousands separated.

    Examples
    --------
    >>> three_digits_range(950.4, 12345.0), three_digits_range(4.04, 4.1)
    ('950 to 12,345', '4')
    """
    first, last = f"{low:,.0f}", f"{high:,.0f}"
    return first if first == last else f"{first} to {last}"


def problems(race: Race) -> list[str]:
    """Return a sentence for every method that diverged or takes no part."""
    several = len(race.plan.seeds) > 1
    found = [
        f"Seed {lane.seed}: {lane.problem}" if several else lane.problem
        for lane in race.lanes
        if lane.problem
    ]
    return list(dict.fromkeys(found))


def what_methods_train(summaries: Mapping[str, str]) -> str:
    """Return a line for each method, in Markdown.

    Examples
    --------
    >>> what_methods_train({"full": "every parameter of the model"})
    '- **full**: every parameter of the model'
    """
    return "\n".join(f"- **{name}**: {summary}" for name, summary in summaries.items())


def span(counts: Sequence[int]) -> str:
    """Return counts of several modules or seeds, lowest to highest.

    Examples
    --------
    >>> span((8, 8)), span((0, 31, 24)), span((1200, 1000))
    ('8', '0–31', '1,000–1,200')
    """
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def far_below(methods: Mapping[str, tuple[str, float]]) -> str:
    """Say which methods cannot spend the budget, with their largest size and their share of it.

    Examples
    --------
    >>> far_below({"peft-ia3": ("its only size", 0.0312)})
    'Not at the same budget: **peft-ia3** has 3.1 % of it at its only size. No larger one fits.'
    """
    each = [f"**{m}** has {percent(share)} of it at {size}" for m, (size, share) in methods.items()]
    return f"Not at the same budget: {join_words(each)}. No larger one fits."


def picture_facts(name: str, delta: np.ndarray, limit: float) -> str:
    """Return the norm of a ΔW, and how much of it lies beyond the scale.

    Examples
    --------
    >>> picture_facts("full", np.array([[3.0, 0.0, 0.0, 4.0]]), 3.5)
    '**full** · ‖ΔW‖ 5.00 · 25.0 % beyond'
    >>> picture_facts("frozen", np.zeros((2, 2)), 0.0)
    '**frozen** · ‖ΔW‖ 0'
    """
    norm = float(np.linalg.norm(delta))
    text = f"**{name}** · ‖ΔW‖ {three_digits(norm) if norm else '0'}"
    beyond = float((np.abs(delta) > limit).mean())
    return f"{text} · {percent(beyond)} beyond" if beyond else text


def spectrum_facts(spectra: Mapping[str, np.ndarray]) -> str:
    """Say how many singular values hold 98 % of the energy of each ΔW.

    Examples
    --------
    >>> spectrum_facts({"full": np.array([3.0, 0.1, 0.0]), "frozen": np.zeros(3)})
    '98 % of the energy of ΔW lies in 1 singular value for full; ΔW is 0 for frozen.'
    """
    parts, zero = [], []
    for method, values in spectra.items():
        energies = np.cumsum(np.square(values, dtype=np.float64))
        if energies[-1] == 0:
            zero.append(method)
            continue
        count = int(np.searchsorted(energies, 0.98 * energies[-1])) + 1
        parts.append((count, method))
    text = []
    if parts:
        (first, method), *rest = parts
        word = "value" if first == 1 else "values"
        listed = [f"{first} singular {word} for {method}"] + [f"{c} for {m}" for c, m in rest]
        text.append(f"98 % of the energy of ΔW lies in {join_words(listed)}")
    if zero:
        text.append(f"ΔW is 0 for {join_words(zero)}")
    return f"{'; '.join(text)}."


def update(module: str, shape: tuple[int, ...], seed: int, step: int) -> str:
    """Say whose ΔW is shown.

    Examples
    --------
    >>> update("fc1", (64, 32), 0, 1200)
    'What each method has changed in fc1, 64×32, seed 0, after step 1,200.'
    """
    size = "×".join(map(str, shape))
    return f"What each method has changed in {module}, {size}, seed {seed}, after step {step:,}."


def one_scale(limit: float, part: int) -> str:
    """Say where the colour scale of ΔW ends."""
    share = "the" if part == 1 else f"1/{part} of the"
    return (
        f"The same colours for all, from −{limit:.3g} to {limit:.3g}: {share} largest change so "
        "far. What lies beyond has the colour of the end."
    )


def snapshots(steps: Sequence[int]) -> str:
    """Say which steps the rewind slider holds."""
    return f"Rewind reaches {len(steps)} snapshots, of steps {steps[0]:,} to {steps[-1]:,}."


def no_picture(name: str) -> str:
    """Say that a method's ΔW cannot be drawn."""
    return f"{name}: ΔW is not finite, or there is none."


def curve_caption(race: Race, quantity: str, latest: Mapping[str, float], *, least: bool) -> str:
    """Describe a figure of curves in words: the latest value of every method.

    Parameters
    ----------
    race : Race
    quantity : str
        What is drawn.
    latest : mapping of str to float
        Last value by method.
    least : bool
        Whether the lowest comes first.
    """
    if not latest:
        return f"{quantity} over the steps. {FIRST_STEP}"
    ranking = sorted(latest, key=latest.__getitem__, reverse=not least)
    values = join_words([f"{name} {format_error(latest[name])}" for name in ranking])
    when = "At the end" if race.ended else "Now"
    text = f"{quantity} over the steps. {when}: {values}."
    done = {lane.seed for lane in race.lanes if lane.outcome is not None}
    if len(done) > 1:
        text += f" Line: mean over {len(done)} seeds; band: from the lowest to the highest."
    if done and not race.ended and race.seed not in done:
        text += f" Thin: seed {race.seed}, in training."
    return text
