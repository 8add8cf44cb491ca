"""What is looked at, and its decompositions: cached by content, bounded in bytes, shared.

What is cached depends on nothing but the numbers it is made from, so visitors may share it: who
asks for a matrix has it already. What one page makes of it is cached with that page, the same way.
"""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from cachetools import LRUCache, cached
from cachetools.keys import hashkey

from app.shared.caches import Kind
from app.shared.charts import picture_png
from app.shared.host import host
from app.shared.pool import Progress, kept_call, part
from app.shared.words import as_text
from lolora_core import FAMILIES, Decomposition, Grid, decompose
from lolora_core.blocks.svd import BlockSVD, block_svd
from lolora_core.common.checks import as_matrix
from lolora_core.families.base import Fit
from lolora_core.targets import (
    MAX_SIDE,
    ImageLimits,
    Target,
    catalogue,
    load,
    upload_image,
    upload_npy,
    upload_safetensors,
)

# Visitors share the cores. With two threads each, small products wait for each other's: under load
# one rank of a 512² matrix took 4.6 s in place of 0.03 s.
torch.set_num_threads(1)

# One large decomposition at a time: a second would only slow both, and everybody else.
_LARGE = 1024 * 1024
_turn = threading.Semaphore(1)
#: A search keeps what it finds, and visitors share it: one at a time.
search_turn = threading.RLock()
_seconds_per_product = [1.5e-10]


@Kind[Target]("bundled").cached(hashkey)
def bundled_target(name: str, colour: bool, parameters: tuple[tuple[str, Any], ...]) -> Target:
    """Load a target of the catalogue."""
    return load(name, colour=colour, **dict(parameters))


@dataclass(frozen=True)
class UploadChoice:
    """How an upload is read: which tensor, which 2-D view, which window, which size."""

    kind: str
    tensor: str = ""
    view: str | None = None
    row: int = 0
    col: int = 0
    side: int = 512
    colour: bool = False


def largest_side() -> int:
    """Return how many rows and columns a target of an upload may have on this host."""
    return min(MAX_SIDE, host().max_side)


_uploads = Kind[Target]("uploads")


def _upload_key(data: bytes | None, digest: str, name: str, choice: UploadChoice) -> Any:
    return hashkey(digest, name, choice)


@_uploads.cached(_upload_key)
def uploaded_target(data: bytes | None, digest: str, name: str, choice: UploadChoice) -> Target:
    """Read an upload; `digest` is the SHA-256 of its bytes.

    Without `data` only what is still cached is returned.

    Raises
    ------
    ValueError, TypeError
        What the file is and what to do; or that it is no longer held.
    """
    if data is None:
        raise ValueError("The upload is no longer held here. Please upload the file again.")
    allowed, most = host(), largest_side()
    if choice.kind == "image":
        limits = ImageLimits(allowed.max_pixels, allowed.max_decode_seconds)
        side = min(choice.side, most)
        return upload_image(data, name=name, side=side, colour=choice.colour, limits=limits)
    window = {"row": choice.row, "col": choice.col, "max_side": most}
    if choice.kind == "npy":
        return upload_npy(data, name=name, **window)
    return upload_safetensors(data, name=name, tensor=choice.tensor, view=choice.view, **window)


def _words_of(target: Target) -> str:
    """Return all that a target says of itself: visitors may name one matrix differently."""
    said = (target.title, target.description, target.source, *target.notes, target.code)
    return "\n".join(said)


def hold_upload(target: Target, choice: UploadChoice) -> str:
    """Keep a target made in this session; return the name by which `uploaded_target` finds it."""
    name = _words_of(target)
    _uploads.put(_upload_key(None, target.sha256, name, choice), target)
    return name


def _spectrum_key(delta: Any, *rest: Any) -> Any:
    return hashkey(*rest)


@cached(LRUCache(1024), key=_spectrum_key, condition=threading.Condition())
def spectrum(delta: np.ndarray, *digest: Any) -> np.ndarray:
    """Return the singular values of a matrix that `digest` identifies."""
    return torch.linalg.svdvals(torch.from_numpy(delta)).numpy()


_recent = Kind[Target]("recent")


def remember(target: Target) -> str:
    """Keep a target that could be shown; return the key for `recall`."""
    key = f"{target.sha256} {_words_of(target)}"
    _recent.put(key, target)
    return key


def recall(key: str | None) -> Target:
    """Return a target kept by `remember`, or the default one where it is gone."""
    found = _recent.get(key) if key else None
    return found or bundled_target("camera", False, ())


def said(target: Target, words: str) -> str:
    """Return words of a target for Markdown; only those of the catalogue are our own.

    Examples
    --------
    >>> said(bundled_target("camera", False, ()), "[0, 1]")
    '[0, 1]'
    """
    own = target.id in (found.id for found in catalogue())
    return words if own else as_text(words)


def lut_of(target: Target) -> str:
    """Return which colours of `app.shared.style.LUTS` show a target: about 0 for an update."""
    return "signed" if target.kind == "update" else "values"


#: The longer side of a small picture over the shorter one, at most.
_THIN = 4


def _content_key(target: Target) -> str:
    return target.sha256


@cached(LRUCache(256), key=_content_key, condition=threading.Condition())
def preview(target: Target) -> bytes:
    """Return a PNG of every k-th row and column, so that 256 to 511 are left of a long side."""
    return _every(target, 256)


def thumbnail(target: Target) -> bytes:
    """Return a PNG of every k-th row and column, so that 96 to 191 are left of a long side."""
    return _every(target, 96)


def _every(target: Target, cells: int) -> bytes:
    step_down, step_across = (max(1, side // cells) for side in target.shape)
    shown = target.array[::step_down, ::step_across]
    # Of a row or a column a browser would make a line without width, or one of any length.
    tall, wide = shown.shape[:2]
    shown = shown.repeat(-(-wide // (_THIN * tall)), axis=0)
    shown = shown.repeat(-(-tall // (_THIN * wide)), axis=1)
    return picture_png(
        shown,
        target.display_range,
        image=target.value_range is not None,
        lut=lut_of(target),
    )


@dataclass(frozen=True, eq=False)
class Scene:
    """What is looked at, apart from the budget: a target, a grid, a device, which families.

    Attributes
    ----------
    searched : bool
        With the families that singular values alone do not tell; each costs a search.
    """

    target: Target
    grid: Grid
    device: str
    searched: bool = False

    @property
    def key(self) -> tuple[str, Grid, str, bool]:
        """Identify the scene by its content."""
        return self.target.sha256, self.grid, self.device, self.searched

    @property
    def families(self) -> tuple[str, ...]:
        """Names of the families to compare."""
        return tuple(n for n, family in FAMILIES.items() if family.from_spectra or self.searched)


def scene_key(scene: Scene, *rest: Any) -> Any:
    """Return the key under which a cache holds what a scene gives."""
    return hashkey(scene.key, *rest)


def _digest_key(matrix: np.ndarray, *digest: Any) -> Any:
    return hashkey(*digest)


@Kind[torch.Tensor]("tensors").cached(_digest_key)
def _tensor(matrix: np.ndarray, digest: str, device: str) -> torch.Tensor:
    tensor = torch.from_numpy(matrix.copy())
    # Metal has no float64.
    return (tensor.float() if device == "mps" else tensor).to(device)


_svds = Kind[BlockSVD]("decompositions")


@_svds.cached(_digest_key)
def _block_svd(matrix: np.ndarray, digest: str, grid: Grid, device: str) -> BlockSVD:
    started = time.perf_counter()
    svd = decompose(_tensor(matrix, digest, device), grid).on(grid)
    work = _work(matrix.shape, grid)
    if work > 10**7:
        _seconds_per_product[0] = (time.perf_counter() - started) / work
    return svd


def _work(shape: tuple[int, ...], grid: Grid) -> float:
    return shape[0] * shape[1] * min(shape) / max(grid.blocks)


def _parts(scene: Scene) -> list[tuple[np.ndarray, str, Grid]]:
    grids = dict.fromkeys((scene.grid.whole(), scene.grid))
    return [
        (matrix, f"{scene.target.sha256}/{at}", grid)
        for at, matrix in enumerate(scene.target.channels)
        for grid in grids
    ]


def missing_seconds(scene: Scene) -> list[float]:
    """Return about how long each decomposition that is not cached yet will take."""
    return [
        _work(matrix.shape, grid) * _seconds_per_product[0]
        for matrix, digest, grid in _parts(scene)
        if hashkey(digest, grid, scene.device) not in _svds
    ]


def decompositions(scene: Scene, progress: Progress | None = None) -> tuple[Decomposition, ...]:
    """Return one decomposition for each channel, with all that the families need.

    Parameters
    ----------
    scene : Scene
    progress : callable, optional
        ``progress(share, words)``, before each part and while it is computed; it may raise.
    """
    parts = _parts(scene)
    held: dict[str, dict[Grid, BlockSVD]] = {digest: {} for _, digest, _ in parts}
    large = scene.target.array.size > _LARGE
    for count, (matrix, digest, grid) in enumerate(parts):
        asked = (matrix, digest, grid, scene.device)
        if progress is not None:
            words = f"part {count + 1} of {len(parts)}"
            shown = part(progress, count / len(parts), (count + 1) / len(parts), words)
            shown(0.0, "")
            # Processes of their own would each need a device's memory.
            if scene.device == "cpu":
                held[digest][grid] = kept_call(
                    _block_svd, asked, block_svd, as_matrix(matrix), grid, progress=shown
                )
                continue
        with _turn if large else nullcontext():
            held[digest][grid] = _block_svd(*asked)
    made = []
    for matrix, digest in zip(scene.target.channels, held, strict=True):
        tensor = _tensor(matrix, digest, scene.device)
        # A switch on the page decides about a search, so no other scene holds one.
        searches = _searches(matrix, digest, scene.grid, scene.device) if scene.searched else {}
        made.append(Decomposition(tensor, scene.grid, _held=held[digest], _fits=searches))
    return tuple(made)


class _Searches(dict[str, Fit]):
    """The fits of one matrix on one grid, by family, filled by the decomposition."""

    def __init__(self, matrix: np.ndarray) -> None:
        super().__init__()
        # The matrix in blocks, its decompositions twice, and residuals.
        self.nbytes = 16 * matrix.nbytes


@Kind[_Searches]("searches").cached(_digest_key)
def _searches(matrix: np.ndarray, digest: str, grid: Grid, device: str) -> _Searches:
    return _Searches(matrix)


def searches_of(scene: Scene) -> list[_Searches]:
    """Return what is held of the searches of each channel."""
    return [
        _searches(matrix, f"{scene.target.sha256}/{at}", scene.grid, scene.device)
        for at, matrix in enumerate(scene.target.channels)
    ]
