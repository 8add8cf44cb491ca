"""Entry point of the app: ``streamlit run app/main.py``, from any folder."""

import sys
from pathlib import Path

import streamlit as st

# Streamlit puts this file's folder on the path; the app imports `app` and `lolora_core`.
ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from app.server import health, life, logs, middleware, quota  # noqa: E402
from app.shared.host import host  # noqa: E402

if host().hosted:
    logs.log_as_json()
quota.keep_in_memory()
app = st.App(
    ROOT / "app" / "script.py",
    lifespan=life.lifespan,
    routes=health.routes(),
    middleware=middleware.stack(),
)
