"""The sentences of the lessons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from app.shared.words import as_text, format_error, join_words, percent, three_digits
from lolora_core.targets import Target

__all__ = [
    "FORM",
    "INTRO",
    "MOVE",
    "OWN_PICTURE",
    "about",
    "best_of",
    "by_side",
    "kept",
    "picture",
    "race",
    "ranks",
    "spectrum",
    "structures",
    "told",
    "verdict",
]

INTRO = (
    "Short walks through the ideas, each with live figures of this program. Read, guess, then let "
    "the program answer. Begin with the first if you know neither “matrix” nor “rank”."
)
#: Headings of the list, with the least and the most minutes.
LENGTHS = (("Up to 8 minutes", 0, 8), ("Up to 12 minutes", 9, 12), ("Longer", 13, 120))
MOVE = "Move it: figures and numbers in this step follow."
OWN_PICTURE = (
    "Upload a picture of your own, and this lesson is about it. Until then you see the camera."
)
FORM = (
    "Set up Compare, What if or Fine-tune as you want your class to see it, come back here and "
    "take that state as a step. Then download the file, or open the lesson at once. Whoever has "
    "the file can load it here."
)


def about(minutes: int, steps: int, audience: str) -> str:
    """Say how long a lesson takes and for whom it is.

    Examples
    --------
    >>> about(10, 4, "Second year")
    '10 minutes · 4 steps · Second year'
    """
    unit = "minute" if minutes == 1 else "minutes"
    return f"{minutes} {unit} · {steps} step{'s' if steps != 1 else ''} · {as_text(audience)}"


def picture(name: str, error: float, best: bool) -> str:
    """Say below a picture what it is.

    Examples
    --------
    >>> picture("global", 0.0804, True)
    'global: error 0.0804, lowest'
    """
    return f"{name}: error {format_error(error)}{', lowest' if best else ''}"


def best_of(errors: Mapping[str, float]) -> str:
    """Say who comes closest.

    Examples
    --------
    >>> best_of({"global": 0.0804, "localized": 0.0835})
    'Lowest relative error: global, 0.0804. Highest: localized, 0.0835.'
    """
    low, high = min(errors, key=errors.__getitem__), max(errors, key=errors.__getitem__)
    return (
        f"Lowest relative error: {low}, {format_error(errors[low])}. "
        f"Highest: {high}, {format_error(errors[high])}."
    )


def kept(errors: Mapping[str, float], parameters: int) -> str:
    """Say what the curve shows at the budget of the step.

    Examples
    --------
    >>> kept({"global": 0.5, "localized": 0.25}, 2048)
    'At 2,048 parameters, the dotted line: global 0.500, localized 0.250.'
    """
    listed = ", ".join(f"{name} {format_error(error)}" for name, error in errors.items())
    return f"At {parameters:,} parameters, the dotted line: {listed}."


def by_side(sides: Sequence[int], errors: Mapping[str, Sequence[float]]) -> str:
    """Say where each family has its lowest error over the grids.

    Examples
    --------
    >>> by_side([1, 2], {"localized": [0.5, 0.25]})
    'The same budget on finer and finer grids. Lowest error: localized 0.250 at 2 blocks a side.'
    """
    words = []
    for name, found in errors.items():
        at = min(range(len(sides)), key=lambda i: found[i])
        unit = "block" if sides[at] == 1 else "blocks"
        words.append(f"{name} {format_error(found[at])} at {sides[at]} {unit} a side")
    return f"The same budget on finer and finer grids. Lowest error: {join_words(words)}."


def ranks(family: str, least: int, most: int) -> str:
    """Say how ranks are spread over the blocks.

    Examples
    --------
    >>> ranks("adaptive", 0, 12)
    'The rank that adaptive gives to each block: from 0 to 12.'
    """
    spread = f"from {least} to {most}" if least < most else f"{most} everywhere"
    return f"The rank that {family} gives to each block: {spread}."


def spectrum(count: int, most: int, share: float, rank: int, noise: bool) -> str:
    """Say how the energy is spread over the singular values.

    Examples
    --------
    >>> spectrum(256, 100, 0.9, 8, False)
    '100 of the 256 singular values hold 90.0 % of the energy. The dotted line: the first 8 kept.'
    """
    line = (
        f"{most:,} of the {count:,} singular values hold {percent(share)} of the energy. The "
        f"dotted line: the first {rank} kept."
    )
    return f"{line} Dashed: what noise of this size should have." if noise else line


def race(losses: Mapping[str, float], rates: Mapping[str, float]) -> str:
    """Say where each method's loss ended.

    Examples
    --------
    >>> race({"global": 1.5, "localized": 0.25}, {"global": 0.01, "localized": 0.001})
    'Loss at the end: global 1.50 (rate 0.01), localized 0.250 (rate 0.001). Lower is better.'
    """
    listed = ", ".join(f"{m} {three_digits(v)} (rate {rates[m]:g})" for m, v in losses.items())
    return f"Loss at the end: {listed}. Lower is better."


def structures(parameters: Mapping[str, int]) -> str:
    """Say what the areas are.

    Examples
    --------
    >>> structures({"global": 1024, "localized": 1000})
    'Coloured area is parameters: global 1,024, localized 1,000. Grey is the matrix they rebuild.'
    """
    listed = ", ".join(f"{name} {count:,}" for name, count in parameters.items())
    return f"Coloured area is parameters: {listed}. Grey is the matrix they rebuild."


def told(target: Target) -> str:
    """Say what the target is."""
    return f"{as_text(target.title)}, {target.shape[0]:,} × {target.shape[1]:,}"


def verdict(right: bool, answer: str) -> str:
    """Say whether a guess was right.

    Examples
    --------
    >>> verdict(False, "global")
    'Not this time. The program says: global.'
    """
    return f"{'Right.' if right else 'Not this time.'} The program says: {answer}."


def measured(found: Sequence[tuple[str, str]]) -> str:
    """Say what was compared.

    Examples
    --------
    >>> measured([("as it is", "0.0835"), ("shuffled", "0.116")])
    'Measured: as it is 0.0835; shuffled 0.116.'
    """
    return f"Measured: {'; '.join(f'{name} {number}' for name, number in found)}."


def rung(name: str, family: str, rank: int, error: float | None) -> str:
    """Say below one of several pictures of a family which state it is of.

    Examples
    --------
    >>> rung("", "global", 1, 0.5), rung("two strips", "global", 2, 0.25)
    ('global, rank 1: error 0.500', 'two strips: error 0.250')
    """
    words = name or f"{family}, rank {rank}"
    return words if error is None else f"{words}: error {format_error(error)}"


def digits(step: float) -> str:
    """Return the format of a number box whose values lie a step apart.

    Examples
    --------
    >>> digits(1.0), digits(0.01), digits(0.5)
    ('%.0f', '%.2f', '%.1f')
    """
    _, dot, after = f"{step:f}".rstrip("0").partition(".")
    return f"%.{len(after) if dot else 0}f"


def go_on(title: str) -> str:
    """Say where a step's button leads.

    Examples
    --------
    >>> go_on("What if")
    'Opens What if with exactly this state.'
    """
    return f"Opens {title} with exactly this state."


def cannot(problem: str) -> str:
    """Say that a step cannot be shown, and why."""
    return f"This step cannot be shown: {as_text(problem.rstrip('.'))}."


def on_paper(kind: str, ask: str, options: Iterable[str]) -> str:
    r"""Return a question for paper, without its answer.

    Examples
    --------
    >>> print(on_paper("Predict first.", "Who wins?", ["global", "localized"]))
    **Predict first.** Who wins?
    <BLANKLINE>
    ☐ global
    <BLANKLINE>
    ☐ localized
    >>> on_paper("Predict first.", "How large?", []).endswith("________")
    True
    """
    listed = "\n\n".join(f"☐ {option}" for option in options)
    return f"**{kind}** {ask}\n\n{listed or 'Your guess: ________________'}"


NOT_LOADED = (
    "This link leads to a lesson of somebody's own. Load its file at the bottom of this page to "
    "open it."
)


def contents(headings: Sequence[str]) -> str:
    """Return the steps of a lesson as links down the page.

    Examples
    --------
    >>> contents(["A matrix", "A rank"])
    '[1. A matrix](#step-1) · [2. A rank](#step-2)'
    """
    return " · ".join(
        f"[{at}. {as_text(heading)}](#step-{at})" for at, heading in enumerate(headings, start=1)
    )


TEXT_HELP = (
    "Markdown and formulas between dollar signs. Numbers come from the program: "
    "{{relative_error:global}}, {{parameters:localized}}, {{rank}}, {{blocks}}."
)
TITLE_HELP = "What the list calls it. The name of the file is made of it."
AUDIENCE_HELP = "Whom it is for, and what they should know already."
MINUTES_HELP = "How long it takes; the list is ordered by it."
OBJECTIVES_HELP = "What a reader can say or do afterwards."
HEADING_HELP = "Stands above the step, and in the list of steps."
LOOK_HELP = "Where to look in the figures; may be left out."
SHOW_HELP = "Figures of this step, drawn live. Errors below pictures appear after the guess."
FILE_HELP = "JSON as the form writes it. It opens in this session only; nothing is kept."
ASK_HELP = "The answer is never typed in: the program computes it when the lesson is read."
NO_STEPS = "A lesson needs a step: take the state of a page."


def draft_step(number: int, title: str, state: Mapping[str, object]) -> str:
    """Say which state a step of the form holds.

    Examples
    --------
    >>> draft_step(1, "Compare", {"target": "coins", "rank": 8})
    '**Step 1** · Compare: target = coins, rank = 8'
    """
    listed = ", ".join(f"{as_text(key)} = {as_text(str(value))}" for key, value in state.items())
    return f"**Step {number}** · {title}: {listed}"


def bad_file(problem: str) -> str:
    """Say what is wrong with a lesson, a line for each fault."""
    return "\n".join(f"- {as_text(line)}" for line in problem.splitlines())


def strips(shape: tuple[int, int], rank: int) -> str:
    """Say what the strips are.

    Examples
    --------
    >>> strips((512, 384), 1)
    'Left: B, 512 × 1. Top: A, 1 × 384. Between them: B·A. Strips are drawn thicker than they are.'
    """
    m, n = shape
    return (
        f"Left: B, {m} × {rank}. Top: A, {rank} × {n}. Between them: B·A. Strips are drawn "
        "thicker than they are."
    )
