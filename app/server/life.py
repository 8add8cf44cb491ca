"""What runs as long as the server does."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import streamlit as st

from app.server.drain import draining
from app.server.quota import forget_for_ever
from app.server.rubbish import collect_for_ever, few_arenas
from app.shared import ending
from app.shared.host import host

__all__ = ["lifespan"]

#: What every page needs, and what takes the longest to import.
_HEAVY = ("torch", "plotly.graph_objects", "pandas", "lolora_core.families", "app.page_settings")
_LOG = logging.getLogger("app.server")


def _import_heavy() -> None:
    for name in _HEAVY:
        importlib.import_module(name)
    if host().hosted:
        # Somebody will train; on one's own machine the page does it.
        importlib.import_module("app.views.fine_tune.warm_up").warm_up()


async def _warm_up_and_collect() -> None:
    await asyncio.to_thread(_import_heavy)
    await collect_for_ever()


@asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[None]:
    """Import what is slow while the first visitor's page opens, then clear away.

    At the end, close what was opened: races, and the processes of the pool.
    """
    few_arenas()
    with draining(wait=host().hosted):
        tasks = [
            asyncio.create_task(endless) for endless in (_warm_up_and_collect(), forget_for_ever())
        ]
        _LOG.info("the server began")
        yield
        for task in tasks:
            task.cancel()
        await asyncio.to_thread(ending.end)
        _LOG.info("the server ends")
