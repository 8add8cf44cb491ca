"""What runs as long as the server does."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import streamlit as st

from app.server.rubbish import collect_for_ever
from app.shared.ending import end

__all__ = ["lifespan"]

#: What every page needs, and what takes the longest to import.
_HEAVY = ("torch", "plotly.graph_objects", "pandas", "lolora_core.families", "app.page_settings")


def _import_heavy() -> None:
    for name in _HEAVY:
        importlib.import_module(name)


async def _warm_up_and_collect() -> None:
    await asyncio.to_thread(_import_heavy)
    await collect_for_ever()


@asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[None]:
    """Import what is slow while the first visitor's page opens, then collect garbage.

    At the end it closes what was opened: races, and the processes of the pool.
    """
    task = asyncio.create_task(_warm_up_and_collect())
    yield
    task.cancel()
    await asyncio.to_thread(end)
