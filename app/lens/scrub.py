"""What the browser needs to move the budget by itself, cached as in `app.shared.scene`."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import NamedTuple

from app.lens.factors import pack_factors
from app.lens.sentences import panel, ranks_of
from app.lens.view import Budget, Rebuilt, Stop
from app.shared.caches import Kind
from app.shared.common import ROWS
from app.shared.host import MEGABYTE
from app.shared.scene import Scene, decompositions
from app.shared.settings import Setting, Slot
from lolora_core import Grid
from lolora_core.explore.budget_path import budget_paths
from lolora_core.explore.path_blocks import path_blocks
from lolora_core.explore.path_factors import path_factors

__all__ = ["budget", "factors", "factors_of", "forget", "given", "rebuilt", "sharp"]

#: Blocks a side of the grids that the second handle offers, beside the one that is shown.
SIDES = (1, 2, 4, 8, 16, 32, 64)
#: Larger targets are averaged while the budget moves.
MOST_CELLS = 512 * 512
MOST_BYTES = 6 * MEGABYTE
#: Of the factors from which a larger target is built cell by cell.
MOST_SHARP_BYTES = 32 * MEGABYTE
#: The factors that the browser was given last, if they are of single cells.
_GIVEN: Slot[str] = Slot("factors_given", "")


def _token(scene: Scene, largest: int, *, sharp: bool = False) -> str:
    """Name what the factors depend on: of a scene all but the families that are searched for."""
    return hashlib.sha256(
        repr((scene.target.sha256, scene.grid, scene.device, largest, sharp)).encode()
    ).hexdigest()


def _grids(scene: Scene) -> list[Grid]:
    """Return the grids that fit the target, from coarse to fine, that of the scene among them."""
    shape = scene.grid.shape
    squares = [Grid.regular(shape, k) for k in SIDES if k <= min(*shape, ROWS.maximum)]
    return sorted(
        {*squares, scene.grid}, key=lambda grid: (grid.blocks[0] * grid.blocks[1], grid.blocks)
    )


def budget(
    scene: Scene, rank: int, setting: Setting, *, one_grid: bool = False, plays: bool = False
) -> Budget:
    """Return what the handle under the pictures says at a budget.

    Parameters
    ----------
    scene : Scene
    rank : int
        Equivalent rank of the pictures.
    setting : Setting
        Of the rank: its bounds are the ends of the handle.
    one_grid : bool
        Whether the grid stays; else it has a handle of its own.
    plays : bool
        Whether the budget runs up to `rank` by itself, once.
    """
    return Budget(
        rank=rank,
        lowest=setting.minimum,
        highest=setting.maximum,
        label=setting.label,
        parameters=sum(scene.grid.shape) * len(scene.target.channels),
        grid=scene.grid.label,
        grid_label="Blocks a side",
        stops=[
            Stop(
                label=grid.label,
                rows=grid.blocks[0],
                cols=grid.blocks[1],
                factors=_token(replace(scene, grid=grid), setting.maximum),
            )
            for grid in ([scene.grid] if one_grid else _grids(scene))
        ],
        plays=plays,
    )


def rebuilt(scene: Scene, largest: int) -> Rebuilt | None:
    """Return which pictures the browser builds by itself, in place of being sent them.

    Those of its factors, where it was given these at the run before.
    """
    token = _GIVEN.value
    if token not in (_token(scene, largest), _token(scene, largest, sharp=True)):
        return None
    return Rebuilt(_packed(scene, largest).names, token)


def given(scene: Scene, largest: int) -> None:
    """Remember that the browser was given the factors of a scene."""
    if _packed(scene, largest).fine:
        _GIVEN.set(_token(scene, largest))
    elif sharp(scene, largest) is not None:
        _GIVEN.set(_token(scene, largest, sharp=True))
    else:
        _GIVEN.set("")


def forget() -> None:
    """Send pictures again; a callback of a browser that has no factors."""
    _GIVEN.set("")


def factors_of(scene: Scene, largest: int, token: str) -> bytes | None:
    """Return the factors on the grid of the stop that has this token."""
    for grid in _grids(scene):
        other = replace(scene, grid=grid, searched=False)
        if _token(other, largest) == token:
            return factors(other, largest)
    return None


class _Packed(NamedTuple):
    data: bytes
    names: tuple[str, ...]
    #: Whether every cell is rebuilt, and not means over windows.
    fine: bool

    @property
    def nbytes(self) -> int:
        return len(self.data)


@Kind[_Packed]("lens").cached(_token)
def _packed(scene: Scene, largest: int, *, sharp: bool = False) -> _Packed:
    channels = decompositions(scene)
    paths = budget_paths(channels, largest)
    most_cells = scene.target.array.size if sharp else MOST_CELLS
    most_bytes = MOST_SHARP_BYTES if sharp else MOST_BYTES
    found = path_factors(channels, paths.values(), most_cells=most_cells, most_bytes=most_bytes)
    blocks = path_blocks(channels, found, most_bytes=most_bytes - found.nbytes)
    subtitles = {
        name: [
            panel(float(error), ranks_of(path.family, path.rank_maps[:, rank]), int(spent))
            for rank, (error, spent) in enumerate(
                zip(path.errors, path.num_parameters, strict=True)
            )
        ]
        for name, path in paths.items()
    }
    token = _token(scene, largest, sharp=sharp)
    data = pack_factors(token, paths, found, blocks, subtitles)
    return _Packed(data, tuple(paths), found.windows.blocks == scene.grid.shape)


def factors(scene: Scene, largest: int) -> bytes:
    """Pack the factors of what singular values tell, for every budget up to `largest`."""
    return _packed(scene, largest).data


def sharp(scene: Scene, largest: int) -> bytes | None:
    """Pack the factors of single cells of a target that moves in means, if they are not too large.

    The browser builds the pictures of a budget at which one stays from them: those of 2048² that
    the server would send take 50 MB, these once 8 MB.
    """
    if _packed(scene, largest).fine:
        return None
    found = _packed(scene, largest, sharp=True)
    return found.data if found.fine else None
