"""What a browser's widgets hold is read as a link is: after a restart they are all that is left."""

from __future__ import annotations

import pytest
from streamlit.runtime.state.common import user_key_from_element_id

from app.page_settings import EVERY
from app.shared.settings import texts_of
from tests.app.link_cases import LINKS
from tests.app.test_pages import opened

BY_KEY = {setting.key: setting for setting in EVERY}


@pytest.mark.parametrize("path", ["what_if", "fine_tune"])
def test_the_states_of_widgets_hold_their_settings(path: str) -> None:
    link = next(link for page, link in LINKS if page == path)
    at = opened(path)
    at.query_params.update({key: BY_KEY[key].write(value) for key, value in link.items()})
    at.run()
    states = {user_key_from_element_id(s.id): s for s in at._tree.get_widget_states().widgets}
    drawn = {key for key in BY_KEY if key in states and states[key].WhichOneof("value")}
    read = {key: BY_KEY[key].read(texts_of(states[key])) for key in drawn}
    assert read == {key: at.session_state[key] for key in drawn}
    assert {key: read[key] for key in link.keys() & drawn} == {
        key: link[key] for key in link.keys() & drawn
    }
    kinds = {states[key].WhichOneof("value") for key in drawn}
    assert len(kinds) >= 4
