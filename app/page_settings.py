"""The settings of all pages, gathered once."""

from __future__ import annotations

from app.shared.declared import declare
from app.shared.settings import Setting
from app.views.compare.settings import SETTINGS as COMPARE
from app.views.fine_tune.settings import SETTINGS as FINE_TUNE
from app.views.lessons.settings import SETTINGS as LESSONS
from app.views.scoreboard.settings import SETTINGS as SCOREBOARD
from app.views.start.settings import SETTINGS as START
from app.views.theory.settings import SETTINGS as THEORY
from app.views.what_if.settings import SETTINGS as WHAT_IF
from app.views.your_weights.settings import SETTINGS as YOUR_WEIGHTS

__all__ = ["EVERY", "OF_PAGE"]

#: What each page uses, by its path in the URL.
OF_PAGE: dict[str, tuple[Setting, ...]] = {
    "": START,
    "compare": COMPARE,
    "what_if": WHAT_IF,
    "fine_tune": FINE_TUNE,
    "your_weights": YOUR_WEIGHTS,
    "theory": THEORY,
    "lessons": LESSONS,
    "scoreboard": SCOREBOARD,
}
#: Each setting once, in the order of the pages.
EVERY: tuple[Setting, ...] = tuple(
    {setting.key: setting for used in OF_PAGE.values() for setting in used}.values()
)
declare({path or "start": used for path, used in OF_PAGE.items()})
