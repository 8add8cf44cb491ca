"""What the browser needs to move the budget by itself, cached as in `app.shared.scene`."""

from __future__ import annotations

import hashlib
import threading

from cachetools import LRUCache, cached

from app.lens.factors import pack_factors
from app.lens.view import Budget
from app.shared.common import RANK
from app.shared.scene import MEGABYTE, Scene, decompositions
from app.views.compare.sentences import panel, ranks_of
from lolora_core.explore.budget_path import budget_paths
from lolora_core.explore.path_factors import path_factors

__all__ = ["budget", "factors"]

#: Larger targets are averaged while the budget moves.
MOST_CELLS = 512 * 512
MOST_BYTES = 6 * MEGABYTE


def _token(scene: Scene) -> str:
    """Name what the factors depend on: of a scene all but the families that are searched for."""
    return hashlib.sha256(
        repr((scene.target.sha256, scene.grid, scene.device)).encode()
    ).hexdigest()


def budget(scene: Scene, rank: int) -> Budget:
    """Return what the handle under the pictures says at a budget."""
    return Budget(
        rank=rank,
        lowest=RANK.minimum,
        highest=RANK.maximum,
        label=RANK.label,
        parameters=sum(scene.grid.shape) * len(scene.target.channels),
        factors=_token(scene),
    )


@cached(
    LRUCache(96 * MEGABYTE, getsizeof=len),
    key=_token,
    condition=threading.Condition(),
)
def factors(scene: Scene) -> bytes:
    """Pack the factors of all families that singular values tell, for every budget."""
    channels = decompositions(scene)
    paths = budget_paths(channels, RANK.maximum)
    found = path_factors(channels, paths.values(), most_cells=MOST_CELLS, most_bytes=MOST_BYTES)
    subtitles = {
        name: [
            panel(float(error), ranks_of(path.family, path.rank_maps[:, rank]), int(spent))
            for rank, (error, spent) in enumerate(
                zip(path.errors, path.num_parameters, strict=True)
            )
        ]
        for name, path in paths.items()
    }
    return pack_factors(_token(scene), paths, found, subtitles)
