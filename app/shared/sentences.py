"""The sentences of the sidebar, and of long work."""

from __future__ import annotations

from app.shared.words import as_text, percent

__all__ = [
    "COMES",
    "DISK_FULL",
    "GALLERY_KINDS",
    "LINK",
    "LOST",
    "OWN_FIRST",
    "OWN_UPLOAD",
    "about_target",
    "budget_share",
    "grid_too_fine",
    "in_line",
    "matched",
    "until_then",
    "window",
]

#: Headings of the gallery, by kind of target.
GALLERY_KINDS = {
    "upload": "Your own",
    "image": "Photographs",
    "pattern": "Patterns made by formula",
    "weights": "Weights of trained networks",
    "update": "Updates: what fine-tuning changed",
}
OWN_FIRST = "waiting for your own race or other work: pause or stop it to go on here"
OWN_UPLOAD = "A picture (PNG, JPEG, WebP) or a matrix (.npy, .safetensors) of your own."
COMES = "This part is computed when you come here: a moment."
LOST = (
    "The process that computed this ended before it was done, as it does where memory runs out. "
    "Press Continue to try again; a smaller matrix or a finer grid needs less memory."
)
DISK_FULL = (
    "This server has no room left for temporary files, and this needs some. What you uploaded, and "
    "what is shown, is kept; try again later."
)
LINK = "This link restores the view anywhere; an upload is not part of it."


def window(side: int) -> str:
    """Say what a corner is for, where at most `side` rows and columns are shown."""
    return f"Matrices above {side:,} a side are shown through a window; this is its corner."


def until_then(title: str) -> str:
    """Say what is looked at as long as the choice cannot be shown.

    Examples
    --------
    >>> until_then("Camera")
    'Until then you see: Camera.'
    """
    return f"Until then you see: {title}."


def about_target(description: str, shape: tuple[int, int], channels: int) -> str:
    """Say what a target is, and its size.

    Examples
    --------
    >>> about_target("A photograph.", (512, 1024), 1)
    'A photograph. Shape: 512 × 1,024.'
    """
    three = ", three channels" if channels > 1 else ""
    return f"{description.rstrip('.')}. Shape: {shape[0]:,} × {shape[1]:,}{three}."


def budget_share(total: int, entries: int, channels: int) -> str:
    """Say how many parameters a budget is, and how much that is of the matrix.

    Examples
    --------
    >>> budget_share(32768, 262144, 1)
    '32,768 parameters: 12.5 % of the 262,144 numbers in the matrix.'
    >>> budget_share(100, 400, 3)
    '300 parameters, 100 for each of the three colours: 25.0 % of the 1,200 numbers.'
    """
    if channels > 1:
        return (
            f"{total * channels:,} parameters, {total:,} for each of the three colours: "
            f"{percent(total / entries)} of the {entries * channels:,} numbers."
        )
    share = percent(total / entries)
    return f"{total:,} parameters: {share} of the {entries:,} numbers in the matrix."


def matched(step: int) -> str:
    """Say where the arrows beside the budget lead."""
    return f"The arrows jump to budgets that localized can spend whole: multiples of {step}."


def grid_too_fine(problem: str, shown: str) -> str:
    """Say that a grid does not fit, and which one is shown."""
    return f"{as_text(problem.capitalize())}. Until you change it you see {shown}."


def in_line(before: int) -> str:
    """Say how many come first.

    Examples
    --------
    >>> in_line(2)
    'waiting for a place: 2 before you'
    """
    return f"waiting for a place: {before} before you"
