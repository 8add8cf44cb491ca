"""What is drawn for a visitor: the pages, their sidebar, and what all of them share."""

import streamlit as st

pages = [
    st.Page("views/start/page.py", title="Start", default=True),
    st.Page("views/compare/page.py", title="Compare", url_path="compare"),
    st.Page("views/what_if/page.py", title="What if", url_path="what_if"),
    st.Page("views/fine_tune/page.py", title="Fine-tune", url_path="fine_tune"),
    st.Page("views/your_weights/page.py", title="Your weights", url_path="your_weights"),
    st.Page("views/lessons/page.py", title="Lessons", url_path="lessons"),
    st.Page("views/theory/page.py", title="Theory", url_path="theory"),
    st.Page("views/scoreboard/page.py", title="Does it always win?", url_path="scoreboard"),
]
page = st.navigation(pages, position="top")
# Some pages have nothing to set in the sidebar.
folded = page.url_path in ("", "lessons")
st.set_page_config(
    page_title=f"{page.title} · Localized LoRA Explorer",
    layout="wide",
    # Said before its first element, which opens it.
    initial_sidebar_state="collapsed" if folded else "auto",
)
# Parts without a face, in the sidebar because that opens with its first element, and moves what is
# there already; folded, it would come late. In one pixel: each part would else take room as long as
# it is loading.
faceless = (st if folded else st.sidebar).container(
    height=1, border=False, gap=None, key="faceless"
)
st.title(page.title, anchor=False)

# After the heading: this imports torch.
from app.page_settings import EVERY, OF_PAGE  # noqa: E402
from app.shared import access, address, share, sidebar, site  # noqa: E402
from app.shared.common import TARGET  # noqa: E402
from app.views.fine_tune import heartbeat  # noqa: E402
from app.views.your_weights import side  # noqa: E402
from app.views.your_weights.settings import PAIR  # noqa: E402

used = OF_PAGE[page.url_path]
site.declare(pages)
if not page.url_path:
    address.follow_old_link("views/compare/page.py", OF_PAGE["compare"])
address.travel()
address.follow(page.url_path, used, EVERY)
with faceless:
    access.help_along(page.url_path)
    address.write(page.url_path, used)
    heartbeat.reclaim()
# Fine-tune shows its race itself, and has a sidebar of its own.
if page.url_path != "fine_tune":
    with st.sidebar:
        heartbeat.draw()
        if TARGET in used:
            sidebar.draw()
        elif PAIR in used:
            side.draw()
page.run()
share.draw(used, EVERY)
