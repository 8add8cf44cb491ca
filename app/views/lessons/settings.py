"""What a reader picks on Lessons: the lesson, where to begin, what was moved inside it."""

from __future__ import annotations

from app.shared.settings import Setting
from app.views.lessons.shelf import OWN, bundled_ids

__all__ = ["HANDOUT", "LESSON", "MOVED", "SETTINGS", "STEP"]

LESSON = Setting(
    "lesson",
    "",
    "Lesson",
    "The one that is open.",
    options=("", *bundled_ids(), OWN),
)
STEP = Setting(
    "step",
    1,
    "Step",
    "Where the page opens.",
    minimum=1,
    maximum=6,
    step=1,
)
MOVED = Setting(
    "moved",
    "",
    "Moved",
    "Budgets and grids that were moved inside the lesson, such as 2.rank.16: step 2, rank 16.",
)
HANDOUT = Setting(
    "handout",
    False,
    "Handout",
    "The lesson as one column for paper: objectives, steps and questions, without answers. Print "
    "it with the browser.",
)

SETTINGS = (LESSON, STEP, MOVED, HANDOUT)
