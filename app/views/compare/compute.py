"""What Compare makes of a scene and a budget, cached as in `app.shared.scene`."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from cachetools import LRUCache, cached

from app.lens.sentences import ranks_of
from app.shared.caches import Kind
from app.shared.scene import Scene, decompositions, scene_key, search_turn
from lolora_core import FAMILIES
from lolora_core.blocks.gather import block_norms
from lolora_core.common import metrics
from lolora_core.explore.compare import (
    Comparison,
    compare,
    eckart_young_floor,
    errors_at_ranks,
    rank_to_reach,
)

__all__ = ["Pictures", "comparison", "curves", "figures_of", "limits", "pictures", "rank_needed"]


def comparison(scene: Scene, rank: int) -> Comparison:
    """Compare the families at one budget; cheap once the scene is decomposed and searched."""
    channels = decompositions(scene)
    with search_turn if scene.searched else nullcontext():
        return compare(channels, rank, scene.families)


@dataclass(frozen=True, eq=False)
class Pictures:
    """What the panels show of one comparison.

    Attributes
    ----------
    errors : dict of str to ndarray
        W − Ŵ of every family, float32, of the shape of the target.
    block_errors : dict of str to ndarray, shape (K_r, K_c)
        Residual norm of every block over ‖W‖_F, on the grid of the scene.
    image : bool
        The target has a natural range.
    """

    errors: dict[str, np.ndarray]
    block_errors: dict[str, np.ndarray]
    image: bool
    _peaks: dict[tuple[str, str, float], float] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Memory of the errors, in bytes."""
        return sum(error.nbytes for error in self.errors.values())

    def peak(self, view: str, names: Iterable[str], share: float = 1.0) -> float:
        """Return the value that a `share` of what a view shows does not pass, in any of `names`."""
        return max(self._peak(name, view, share) for name in names)

    def _peak(self, name: str, view: str, share: float) -> float:
        if (name, view, share) not in self._peaks:
            shown = self.block_errors[name]
            if view != "blocks":
                shown = _magnitude(self.errors[name], view)
            self._peaks[name, view, share] = float(
                shown.max() if share == 1 else np.quantile(shown, share, method="higher")
            )
        return self._peaks[name, view, share]


def limits(found: Comparison, shown: Pictures, view: str, part: int | None) -> tuple[float, float]:
    """Return where the scales of entries and of blocks end.

    Parameters
    ----------
    found : Comparison
    shown : Pictures
    view : str
    part : int or None
        Of the largest error of any family the part 1/part; None fits the families that compete.
        Of matrices that are no images 0.5 % of the entries may then pass the end: a few large
        ones would make all others look alike.
    """
    entries = "signed" if view == "signed" else "absolute"
    if part is not None:
        every = list(found.results)
        return shown.peak(entries, every) / part, shown.peak("blocks", every) / part
    names = [result.family.name for result in found.competing]
    return shown.peak(entries, names, 1.0 if shown.image else 0.995), shown.peak("blocks", names)


def _magnitude(error: np.ndarray, view: str) -> np.ndarray:
    """Return what an error picture shows: of three channels their mean or root mean square."""
    if error.ndim == 2:
        return np.abs(error)
    if view == "signed":
        return np.abs(error.mean(axis=-1))
    return np.sqrt((error**2).mean(axis=-1))


@Kind[Pictures]("pictures").cached(scene_key)
def pictures(scene: Scene, rank: int) -> Pictures:
    """Build the dense residual of every family, and its norm in every block."""
    channels = decompositions(scene)
    found = comparison(scene, rank)
    norm = float(np.sqrt(sum(c.on(scene.grid).spectra.total for c in channels))) or 1.0
    errors, blocks = {}, {}
    for name, result in found.results.items():
        residuals = [
            channel.target - approximation.dense()
            for channel, approximation in zip(channels, result.channels, strict=True)
        ]
        # As `Approximation.block_errors`, of the residuals that are there already.
        norms = [block_norms(residual, scene.grid) for residual in residuals]
        blocks[name] = np.linalg.norm(norms, axis=0) / norm
        arrays = [residual.float().numpy(force=True) for residual in residuals]
        errors[name] = arrays[0] if len(arrays) == 1 else np.stack(arrays, axis=-1)
    return Pictures(errors, blocks, scene.target.value_range is not None)


@cached(LRUCache(16384), key=scene_key, condition=threading.Condition())
def figures_of(scene: Scene, rank: int, family: str) -> dict[str, Any]:
    """Return all figures of one family, unrounded."""
    target = scene.target
    result = comparison(scene, rank).results[family]
    span = 1.0 if target.value_range else metrics.value_span(target.array)
    dense = result.dense().numpy(force=True)
    terms = [channel.global_rank for channel in result.channels]
    return {
        "family": family,
        "rank per block": ranks_of(result.family, result.rank_maps, terms),
        "parameters": result.num_parameters,
        "unused": result.unused_parameters,
        "relative error": result.relative_error,
        "energy": result.energy,
        "PSNR": metrics.psnr(target.array, dense, span),
        "SSIM": metrics.ssim(target.array, dense, span),
        "max error": metrics.max_absolute_error(target.array, dense),
        "MSE": metrics.mse(target.array, dense),
        "rank of Ŵ": result.reconstruction_rank(),
        "compression": target.array.size / max(result.num_parameters, 1),
    }


@cached(LRUCache(1024), key=scene_key, condition=threading.Condition())
def curves(scene: Scene, largest: int) -> pd.DataFrame:
    """Return the error of every family, and the floor, at many budgets; from spectra alone."""
    ranks = [*range(0, largest, max(1, largest // 96)), largest]
    channels = decompositions(scene)
    frame = pd.DataFrame({"equivalent rank": ranks})
    frame["parameters"] = frame["equivalent rank"] * sum(scene.grid.shape) * len(channels)
    for name, family in FAMILIES.items():
        if family.from_spectra and family.fits(scene.grid):
            frame[name] = errors_at_ranks(channels, name, ranks)
    frame["floor"] = eckart_young_floor(channels, ranks)
    return frame


@cached(LRUCache(4096), key=scene_key, condition=threading.Condition())
def rank_needed(scene: Scene, family: str, error: float) -> int | None:
    """Return the smallest equivalent rank at which a family reaches an error."""
    return rank_to_reach(decompositions(scene), family, error)
