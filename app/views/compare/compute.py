"""What Compare makes of a scene and a budget, cached as in `app.shared.scene`."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np
import pandas as pd
from cachetools import LRUCache, cached

from app.lens.sentences import ranks_of
from app.shared.caches import Kind
from app.shared.scene import Scene, decompositions, scene_key, search_turn
from lolora_core import FAMILIES
from lolora_core.common import metrics
from lolora_core.explore.compare import (
    Comparison,
    compare,
    eckart_young_floor,
    errors_at_ranks,
    rank_to_reach,
)

__all__ = ["Pictures", "comparison", "curves", "figures_of", "limits", "rank_needed"]


def comparison(scene: Scene, rank: int) -> Comparison:
    """Compare the families at one budget; cheap once the scene is decomposed and searched."""
    channels = decompositions(scene)
    with search_turn if scene.searched else nullcontext():
        return compare(channels, rank, scene.families)


def _found_key(scene: Scene, found: Comparison, *rest: str | float) -> Any:
    return scene_key(scene, found.rank, *rest)


class _Residuals(dict[str, np.ndarray]):
    @property
    def nbytes(self) -> int:
        return sum(error.nbytes for error in self.values())


@Kind[_Residuals]("pictures").cached(_found_key)
def _residuals(scene: Scene, found: Comparison) -> _Residuals:
    channels, made = decompositions(scene), _Residuals()
    for name, result in found.results.items():
        arrays = [
            (channel.target - approximation.dense()).float().numpy(force=True)
            for channel, approximation in zip(channels, result.channels, strict=True)
        ]
        made[name] = arrays[0] if len(arrays) == 1 else np.stack(arrays, axis=-1)
    return made


@cached(LRUCache(1024), key=_found_key, condition=threading.Condition())
def _block_errors(scene: Scene, found: Comparison) -> dict[str, np.ndarray]:
    totals = [channel.on(scene.grid).spectra.total for channel in decompositions(scene)]
    shares = np.sqrt(np.array(totals) / (sum(totals) or 1.0))
    return {
        name: np.linalg.norm(
            [
                share * approximation.block_errors(scene.grid)
                for share, approximation in zip(shares, result.channels, strict=True)
            ],
            axis=0,
        )
        for name, result in found.results.items()
    }


@cached(LRUCache(4096), key=_found_key, condition=threading.Condition())
def _peak(scene: Scene, found: Comparison, name: str, view: str, share: float) -> float:
    if view == "blocks":
        shown = _block_errors(scene, found)[name]
    else:
        shown = _magnitude(_residuals(scene, found)[name], view)
    return float(shown.max() if share == 1 else np.quantile(shown, share, method="higher"))


class Pictures:
    """What the panels show of one comparison; each part is computed when it is asked for.

    Parameters
    ----------
    scene : Scene
    found : Comparison
        Of this scene.
    """

    def __init__(self, scene: Scene, found: Comparison) -> None:
        self._of = scene, found
        self.image = scene.target.value_range is not None

    @property
    def errors(self) -> Mapping[str, np.ndarray]:
        """W − Ŵ of every family, float32, of the shape of the target."""
        return _residuals(*self._of)

    @property
    def block_errors(self) -> Mapping[str, np.ndarray]:
        """Residual norm of every block over ‖W‖_F, on the grid of the scene, shape (K_r, K_c)."""
        return _block_errors(*self._of)

    def peak(self, view: str, names: Iterable[str], share: float = 1.0) -> float:
        """Return the value that a `share` of what a view shows does not pass, in any of `names`."""
        return max(_peak(*self._of, name, view, share) for name in names)


def limits(found: Comparison, shown: Pictures, view: str, part: int | None) -> tuple[float, float]:
    """Return where the scales of entries and of blocks end; 0 for entries where no error is shown.

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
    names = [result.family.name for result in found.competing] if part is None else found.results
    share = 1.0 if part is not None or shown.image else 0.995
    entries = shown.peak(view, names, share) if view in ("signed", "absolute") else 0.0
    return entries / (part or 1), shown.peak("blocks", names) / (part or 1)


def _magnitude(error: np.ndarray, view: str) -> np.ndarray:
    """Return what an error picture shows: of three channels their mean or root mean square."""
    if error.ndim == 2:
        return np.abs(error)
    if view == "signed":
        return np.abs(error.mean(axis=-1))
    return np.sqrt((error**2).mean(axis=-1))


@cached(LRUCache(16384), key=_found_key, condition=threading.Condition())
def figures_of(scene: Scene, found: Comparison, family: str) -> dict[str, Any]:
    """Return all figures of one family, unrounded."""
    target, result = scene.target, found.results[family]
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
