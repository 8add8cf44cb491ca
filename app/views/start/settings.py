"""What a visitor picks on Start."""

from __future__ import annotations

from app.shared.settings import Setting

__all__ = ["EXAMPLE_RANK", "SETTINGS"]

#: Not the budget of the other pages: a link to this page holds nothing that Compare knows, and the
#: address without a page that holds such settings is a link to Compare from before there was Start.
EXAMPLE_RANK = Setting(
    "example_rank",
    16,
    "Budget",
    "How many numbers may be kept: r·(m + n), what global LoRA of rank r has.",
    minimum=4,
    maximum=64,
    step=1,
)

SETTINGS = (EXAMPLE_RANK,)
