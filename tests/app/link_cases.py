"""Every setting of every page with another value than its default, and what its link needs."""

from __future__ import annotations

from collections.abc import Iterator

from app.page_settings import OF_PAGE
from app.shared.settings import Setting
from lolora_core.training import METHODS

__all__ = ["LINKS", "LINK_IDS", "Case"]

#: Path of a page and one of its settings.
Case = tuple[str, Setting]
#: What else the link holds, so that the setting is drawn and changes what is seen.
CONTEXT: dict[str, dict[str, object]] = {
    "rows": {"linked": False},
    "cols": {"linked": False},
    "colour": {"target": "astronaut"},
    "scale": {"view": "signed"},
    # Small: the page runs once for each setting.
    "grids": {"target": "update-vit-0-query"},
    "aim_error": {"aim": "error"},
    "aim_energy": {"aim": "energy"},
    "keep_energy": {"spend": "energy"},
    "matrix": {"pair": "digits transformer"},
    "base_path": {"pair": "on this machine"},
    "tuned_path": {"pair": "on this machine"},
    "hub_base": {"pair": "from the Hub"},
    "hub_tuned": {"pair": "from the Hub"},
}
#: Another value than the default, where the first that differs would not do.
VALUES = {
    "target": "text",
    "paint": "0x8_" * 7 + "0x8",
    "matrix": "blocks.1.query.weight",
    "ft_task": "planted-blocks",
    "ft_methods": list(METHODS),
    "ft_lr": 0.25,
}
#: Of an upload, of a race, or a device that this machine may lack: no widget without them. What is
#: checked on Theory is set by buttons, the budget of Start by the handle under its pictures.
WITHOUT = {"side", "ft_curve", "ft_log", "ft_scale", "device", "theory_checked", "example_rank"}
#: Of a lesson, which a button opens: tested with their page.
WITHOUT |= {"lesson", "step", "moved", "handout"}


def other_value(setting: Setting) -> object:
    """Return an allowed value that is not the default."""
    if setting.key in VALUES or setting.key.startswith("ft_lr."):
        return VALUES.get(setting.key, VALUES["ft_lr"])
    if isinstance(setting.default, bool):
        return not setting.default
    if setting.options:
        if isinstance(setting.default, list):
            return [setting.default[1]]
        return next(option for option in setting.options if option != setting.default)
    if isinstance(setting.default, str):
        return "owner/name"
    start = setting.minimum if setting.default is None else setting.default
    return start + setting.step if start + setting.step <= setting.maximum else setting.minimum


def around(setting: Setting) -> dict[str, object]:
    """Return what else must be set for the widget to be there and to matter."""
    family, dot, _ = setting.key.partition(".")
    if not dot:
        return dict(CONTEXT.get(setting.key, {}))
    return {} if family == "ft_lr" else {"target": family}


def _cases() -> Iterator[Case]:
    seen: set[str] = set()
    for path, settings in OF_PAGE.items():
        for setting in settings:
            # Sliders of patterns are one kind of setting; two patterns stand for all.
            pattern = "." in setting.key and not setting.key.startswith("ft_lr.")
            if pattern and not setting.key.startswith(("planted-blocks.", "power-law.")):
                continue
            if setting.key not in seen | WITHOUT:
                seen.add(setting.key)
                yield path, setting


CASES = list(_cases())


def _together() -> list[tuple[str, dict[str, object]]]:
    """Return links that hold as many settings as go with each other, with their pages."""
    links: list[tuple[str, dict[str, object]]] = []
    for path, setting in CASES:
        wanted = {**around(setting), setting.key: other_value(setting)}
        for page, link in links:
            if page == path and all(link.get(key, value) == value for key, value in wanted.items()):
                link.update(wanted)
                break
        else:
            links.append((path, wanted))
    return links


LINKS = _together()
LINK_IDS = [f"{path or 'start'}-{'+'.join(link)}" for path, link in LINKS]
