"""Searches of a scene, in the pool where they are long; what they find is kept with the scene."""

from __future__ import annotations

from app.shared.fits import ready, searched
from app.shared.pool import Progress, call, part
from app.shared.scene import Scene, decompositions, search_turn, searches_of
from lolora_core import Decomposition, budget_for_rank

__all__ = ["search", "search_seconds"]

#: As measured on 512² matrices with 4 to 16 blocks a side, about.
_SECONDS_PER_PRODUCT = 2e-8


def search_seconds(scene: Scene, rank: int) -> float:
    """Return about how long the pool will take for the searches up to an equivalent rank.

    0 where they are done, and on other devices, which processes of the pool do not share.
    """
    if not scene.searched or scene.device != "cpu":
        return 0.0
    m, n = scene.grid.shape
    budget = budget_for_rank((m, n), rank)
    new = sum(not ready(held, scene.grid, budget) for held in searches_of(scene))
    return new * m * n * min(m, n) * _SECONDS_PER_PRODUCT


def search(scene: Scene, rank: int, progress: Progress) -> None:
    """Search at an equivalent rank in every channel of a scene.

    Parameters
    ----------
    scene : Scene
        With searches, and decomposed.
    rank : int
    progress : callable
        ``progress(share, words)``; it may raise.
    """
    channels, budget = decompositions(scene), budget_for_rank(scene.grid.shape, rank)
    for at, (held, svd) in enumerate(zip(searches_of(scene), channels, strict=True)):
        if ready(held, scene.grid, budget):
            continue
        words = f"part {at + 1} of {len(channels)}"
        whole = scene.grid.whole()
        parts = {grid: svd.on(grid) for grid in (whole, scene.grid)}
        with search_turn:
            known = Decomposition(svd.target, scene.grid, _held=parts, _fits=dict(held))
            key = ("search", scene.key, at, rank)
        found = call(
            searched,
            known,
            budget,
            key=key,
            progress=part(progress, at / len(channels), (at + 1) / len(channels), words),
        )
        with search_turn:
            # Meanwhile another visitor may have searched further.
            if not ready(held, scene.grid, budget):
                held.update(found)
