"""What each page declares, for those that set up another page: filled by `app.page_settings`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.shared.settings import Setting

__all__ = ["declare", "pages"]

_PAGES: dict[str, tuple[Setting, ...]] = {}


def declare(settings: Mapping[str, Sequence[Setting]]) -> None:
    """Say which settings each page has, by the name of its folder."""
    _PAGES.clear()
    _PAGES.update({page: tuple(found) for page, found in settings.items()})


def pages() -> Mapping[str, tuple[Setting, ...]]:
    """Return the settings of each page, by the name of its folder."""
    return _PAGES
