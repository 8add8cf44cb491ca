"""The lines of Python that make the numbers of Start again."""

from __future__ import annotations

from app.shared.scene import Scene
from app.views.start.compute import SHOWN

__all__ = ["pictures"]


def pictures(scene: Scene, rank: int) -> str:
    """Return the lines of the pictures: `found`, an approximation by family."""
    imports, made = scene.target.code.rsplit("\n\n", 1)
    return (
        f"{imports}\nfrom lolora_core import budget_for_rank, decompose\n\n{made}\n"
        f"svd = decompose(target, grid={scene.grid.blocks})\n"
        f"budget = budget_for_rank(target.shape, {rank})\n"
        f"found = {{name: svd.approximate(name, budget=budget) for name in {list(SHOWN)}}}\n"
        "errors = {name: made.relative_error for name, made in found.items()}"
    )
