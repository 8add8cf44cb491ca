"""What a change of the budget sends, and a newer one while an older is still being drawn."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit import config
from streamlit.runtime.scriptrunner import RerunData, get_script_run_ctx
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Element

from app.shared.common import RANK
from tests.app.test_pages import opened

#: Of each page a part that is drawn early, and one that is drawn after it.
PARTS = {
    "compare": ("app.views.compare.parts.panels", "app.views.compare.parts.table"),
    "what_if": ("app.views.what_if.parts.winner_map", "app.views.what_if.parts.curves"),
    "your_weights": ("app.views.your_weights.parts.maps", "app.views.your_weights.table.draw"),
}
OLDER, NEWER = 40, 50


@pytest.mark.parametrize("path", PARTS)
def test_a_newer_budget_overtakes_one_that_is_still_drawn(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = opened(path).run()
    at.slider(key="rank").set_value(NEWER)
    newer = at._tree.get_widget_states()
    drawn: dict[str, list[int]] = {}

    def watch(part: str) -> None:
        module, _, name = part.rpartition(".")
        real = getattr(__import__(module, fromlist=[name]), name)

        def watched(*args: Any, **more: Any) -> Any:
            drawn.setdefault(part, []).append(RANK.value)
            if part == PARTS[path][0] and RANK.value == OLDER:
                # What Streamlit does when a browser sends another value meanwhile.
                context = get_script_run_ctx()
                assert context is not None
                assert context.script_requests is not None
                context.script_requests.request_rerun(
                    RerunData(widget_states=newer, page_script_hash=context.page_script_hash)
                )
            return real(*args, **more)

        monkeypatch.setattr(part, watched)

    for part in PARTS[path]:
        watch(part)
    at.slider(key="rank").set_value(OLDER).run()
    assert not at.exception
    early, late = PARTS[path]
    assert drawn == {early: [OLDER, NEWER], late: [NEWER]}
    assert at.slider(key="rank").value == NEWER


def messages(at: AppTest) -> dict[bytes, int]:
    """Return the sizes of what a run drew."""
    sent = [node.proto for node in at._tree if isinstance(node, Element)]
    return {proto.SerializeToString(): proto.ByteSize() for proto in sent}


def test_a_change_of_the_budget_sends_little() -> None:
    at = opened("compare").run()
    at.slider(key="rank").set_value(40).run()
    before = messages(at)
    at.slider(key="rank").set_value(41).run()
    after = messages(at)
    # A browser has the larger ones that are the same already.
    least = int(config.get_option("global.minCachedMessageSize"))
    sent = sum(size for data, size in after.items() if size < least or data not in before)
    assert max(after.values()) > 1_000_000, "the factors are drawn each time, and sent once"
    assert sent < 400_000
