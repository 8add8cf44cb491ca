"""Entry point of the app: ``streamlit run app/main.py``, from any folder."""

import sys
from pathlib import Path

import streamlit as st

# Streamlit puts this file's folder on the path; the pages import `app` and `lolora_core`.
ROOT = str(Path(__file__).resolve().parent.parent)
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

st.set_page_config(
    page_title="Localized LoRA Explorer", layout="wide", initial_sidebar_state="auto"
)
page = st.navigation(
    [
        st.Page("views/compare/page.py", title="Compare", url_path="compare", default=True),
        st.Page("views/what_if/page.py", title="What if", url_path="what_if"),
        st.Page("views/fine_tune/page.py", title="Fine-tune", url_path="fine_tune"),
        st.Page("views/your_weights/page.py", title="Your weights", url_path="your_weights"),
    ],
    position="top",
)
st.title(page.title, anchor=False)

# After the heading: this imports torch. Here and not on the pages: what the entry point draws keeps
# its value from page to page.
from app.shared import sidebar  # noqa: E402
from app.views.fine_tune import heartbeat  # noqa: E402

races = page.title == "Fine-tune"
if not races:
    # Before the page, which may stop the script; Fine-tune shows its race itself.
    with st.sidebar:
        heartbeat.draw()
    sidebar.draw()
page.run()
sidebar.share(sidebar.fine_tune_settings() if races else sidebar.every_setting())
