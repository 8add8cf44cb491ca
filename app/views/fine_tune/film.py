"""Snapshots of every method's ΔW while a race runs, bounded in number and in bytes."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

__all__ = ["Film", "Frame", "Held", "hold", "interval"]

MAX_FRAMES = 33
MAX_BYTES = 48 * 2**20


@dataclass(frozen=True, eq=False)
class Held:
    """A matrix as float16 times its largest magnitude, so that none is too small or too large."""

    scale: float
    values: np.ndarray

    def dense(self) -> np.ndarray:
        """Return the matrix, float32."""
        return self.values.astype(np.float32) * np.float32(self.scale)


def hold(matrix: torch.Tensor) -> Held:
    """Copy a matrix to memory; the relative error of an entry is at most 2⁻¹¹ of the largest.

    Raises
    ------
    ValueError
        NaN or infinity.

    Examples
    --------
    >>> hold(torch.tensor([[3e-9, -6e-9]])).dense().tolist()
    [[3.000000026176508e-09, -6.000000052353016e-09]]
    """
    scale = float(matrix.abs().max())
    if not np.isfinite(scale):
        raise ValueError("matrix must be finite")
    # The quotient of bfloat16 would have no more than its 8 bits.
    wide = matrix if matrix.dtype == torch.float64 else matrix.float()
    unit = wide / scale if scale else wide
    return Held(scale, unit.to(torch.float16).numpy(force=True).copy())


@dataclass(frozen=True, eq=False)
class Frame:
    """ΔW at one step: by method, then by module."""

    step: int
    deltas: Mapping[str, Mapping[str, Held]]

    @property
    def nbytes(self) -> int:
        """Memory of the matrices, in bytes."""
        return sum(h.values.nbytes for held in self.deltas.values() for h in held.values())


def interval(steps: int, max_frames: int = MAX_FRAMES) -> int:
    """Return from which step to which a frame is kept, of a race of so many steps."""
    return -(-steps // (max_frames - 1))


class Film:
    """The frames of one race, every so many steps; the first and the last are always there.

    Beyond `max_bytes` every second one goes.

    Parameters
    ----------
    steps : int
        How long the race is.
    max_frames, max_bytes : int
    """

    def __init__(
        self, steps: int, max_frames: int = MAX_FRAMES, max_bytes: int = MAX_BYTES
    ) -> None:
        self._max_bytes = max_bytes
        self.every = interval(steps, max_frames)
        self._kept: list[Frame] = []
        self._latest: Frame | None = None
        self._lock = threading.Lock()

    def put(self, frame: Frame) -> None:
        """Show a frame as the latest, and keep it where its step is due.

        Frames of the same or later steps go: the runs went back to a snapshot.
        """
        with self._lock:
            self._latest = frame
            self._kept = [kept for kept in self._kept if kept.step < frame.step]
            if frame.step % self.every:
                return
            self._kept.append(frame)
            while len(self._kept) > 2 and sum(kept.nbytes for kept in self._kept) > self._max_bytes:
                self.every *= 2
                self._kept = [
                    kept for kept in self._kept if kept.step % self.every == 0 or kept is frame
                ]

    @property
    def frames(self) -> tuple[Frame, ...]:
        """Everything held, in the order of steps."""
        with self._lock:
            latest = [self._latest] if self._latest and self._latest not in self._kept else []
            return (*self._kept, *latest)

    def at(self, step: int) -> Frame | None:
        """Return the last frame at or before a step; the first where there is none."""
        frames = self.frames
        before = [frame for frame in frames if frame.step <= step]
        return before[-1] if before else next(iter(frames), None)

    def limit(self, methods: Iterable[str], module: str) -> float:
        """Return the largest |ΔW| of a module in any frame, over some methods."""
        wanted = set(methods)
        scales = [
            held[module].scale
            for frame in self.frames
            for name, held in frame.deltas.items()
            if name in wanted
        ]
        return max(scales, default=0.0)
