"""What a base makes of a task before it is trained, in plain words. No streamlit here."""

from __future__ import annotations

from app.shared.words import as_text, format_error, percent

__all__ = [
    "DOWNLOADS",
    "EXAMPLES",
    "METRICS",
    "STORY",
    "count",
    "delta",
    "example",
    "metric",
    "sentence",
    "story",
]

STORY = "First story"
#: What stands above the base's values on old and on new data.
METRICS = ("The base on what it knows", "The base on the new data")

EXAMPLES = "One test example of each class. ✓ the base is right, ✗ it is wrong."
DOWNLOADS = "The images are fetched with the first race; until then there are none to show."


def metric(name: str, value: float) -> str:
    """Return a value of a task's metric.

    Examples
    --------
    >>> metric("accuracy", 0.1234), metric("relative error", 0.0)
    ('12.3 % right', 'relative error 0')
    """
    return f"{percent(value)} right" if name == "accuracy" else f"{name} {format_error(value)}"


def count(loss: float, examples: int) -> str:
    """Say how many examples there are, and the loss on them.

    Examples
    --------
    >>> count(0.0897, 449)
    'Loss 0.0897, over 449 test examples.'
    """
    return f"Loss {format_error(loss)}, over {examples:,} test examples."


def example(truth: str, guess: str) -> str:
    """Return the line under an example.

    Examples
    --------
    >>> example("7", "7"), example("7", "1")
    ('✓ 7', '✗ 1, not 7')
    """
    return f"✓ {guess}" if truth == guess else f"✗ {guess}, not {truth}"


def sentence(text: str, truth: str, guess: str) -> str:
    """Return a sentence with what the base says about it, in Markdown.

    Examples
    --------
    >>> sentence("count the zeros.", "numpy", "torch")
    '“count the zeros.” ✗ torch, not numpy'
    """
    return f"“{as_text(text)}” {example(truth, guess)}"


def delta(shape: tuple[int, ...], limit: float) -> str:
    """Describe the picture of the ΔW that must be learnt.

    Examples
    --------
    >>> delta((128, 128), 0.5)
    'The change ΔW that must be learnt, 128×128, from −0.500 to 0.500. The base starts without it.'
    """
    size = "×".join(map(str, shape))
    return (
        f"The change ΔW that must be learnt, {size}, from −{format_error(limit)} to "
        f"{format_error(limit)}. The base starts without it."
    )


def story(methods: list[str], parameters: int, blocks: int) -> str:
    """Say what the first story is, and what to watch.

    Examples
    --------
    >>> story(["global", "localized"], 2048, 16)[:62]
    'A matrix has to change in 16 blocks, each with its own pattern'
    """
    first, second = methods
    return (
        f"A matrix has to change in {blocks} blocks, each with its own pattern. {first} and "
        f"{second} get {parameters:,} parameters each. **Watch the loss:** one of them gets stuck, "
        "and no further step helps it. Which one, and why?"
    )
