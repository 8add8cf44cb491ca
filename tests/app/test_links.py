"""A link shows at the first run what a visitor sees after setting the same by hand."""

from __future__ import annotations

import re
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Block

from app.page_settings import EVERY
from app.shared import scene
from app.views.what_if import compute
from tests.app.link_cases import LINK_IDS, LINKS
from tests.app.test_pages import opened
from tests.app.views.scoreboard.test_page import ENTRIES

BY_KEY = {setting.key: setting for setting in EVERY}


def put(at: AppTest, key: str, value: object) -> None:
    kinds: tuple[Any, ...] = (
        at.selectbox, at.slider, at.number_input, at.toggle, at.button_group,
        at.text_input, at.pills, at.multiselect,
    )  # fmt: skip
    # Pills are button groups too.
    next(w for kind in kinds for w in kind if w.key == key).set_value(value).run()


def view(at: AppTest) -> list[str]:
    """Return everything on the page, apart from how the server tells a widget its value."""
    seen = []
    for element in (*at.main, *at.sidebar):
        # Containers hold no words, and places that were emptied stay in the tree.
        if isinstance(element, Block) or element.type in ("code", "download_button", "empty"):
            continue
        if hasattr(element, "key") and hasattr(element, "value"):
            greyed = getattr(element, "disabled", False)
            seen.append(f"{element.key} {element.value} {greyed}")
            continue
        proto = re.sub(r"\$\$ID[^\"\n]*|mock-session[^\"\n]*", "", str(element.proto))
        seen.append(f"{element.type} {proto}")
    return seen


@pytest.mark.parametrize(("path", "wanted"), LINKS, ids=LINK_IDS)
def test_the_first_run_of_a_link_is_the_view_set_by_hand(
    path: str, wanted: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOLORA_ALLOW_HUB", "1")
    monkeypatch.setenv("LOLORA_ALLOW_PATHS", "1")
    # On a slow machine the page asks before it sweeps, and shows a bar.
    monkeypatch.setattr(compute, "missing_seconds", lambda target, grids: 0.0)
    monkeypatch.setattr(scene, "missing_seconds", lambda at: [])
    # Thousands of cells less to score.
    monkeypatch.setattr("app.views.scoreboard.compute.catalogue", lambda: ENTRIES)
    link, hand = opened(path), opened(path).run()
    before = view(hand)
    for key, value in wanted.items():
        link.query_params[key] = BY_KEY[key].write(value)
        put(hand, key, value)
    link.run()
    assert not link.exception
    assert not hand.exception
    assert view(link) == view(hand)
    assert view(link) != before
