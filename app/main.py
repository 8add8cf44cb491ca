"""Entry point of the app: ``streamlit run app/main.py``, from any folder."""

import sys
from pathlib import Path

import streamlit as st

# Streamlit puts this file's folder on the path; the app imports `app` and `lolora_core`.
ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from app.server import life, middleware  # noqa: E402

app = st.App(ROOT / "app" / "script.py", lifespan=life.lifespan, middleware=middleware.stack())
