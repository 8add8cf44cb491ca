"""The update of one matrix of a pair as a target."""

from __future__ import annotations

import hashlib

from lolora_core.checkpoints.align import open_pair
from lolora_core.checkpoints.pairs import read_update
from lolora_core.checkpoints.sources import SourceLike
from lolora_core.common.names import printable
from lolora_core.targets import MAX_SIDE, Target

__all__ = ["update_target"]


def update_target(
    base: SourceLike | None,
    tuned: SourceLike,
    name: str,
    *,
    source: str = "given by the caller",
    licence: str = "as its owner decides",
) -> Target:
    """Return ΔW of one matrix as a target; of a large one the upper left 2,048 rows and columns.

    Parameters
    ----------
    base, tuned : source
        As for `survey`.
    name : str
        Of the tensor.
    source, licence : str
        What the target says of its origin.

    Raises
    ------
    KeyError, ValueError
        There is none of that name, it holds NaN or infinity, or its source cannot be read.

    Examples
    --------
    >>> import torch
    >>> update_target({"a": torch.zeros(2, 3)}, {"a": torch.ones(2, 3)}, "a").array.sum()
    np.float32(6.0)
    """
    first, second = open_pair(base, tuned)
    update = read_update(first, second, name).delta
    m, n = update.shape
    array = update[:MAX_SIDE, :MAX_SIDE].numpy(force=True).copy()
    before, after = ("0" if s is None else printable(s.label) for s in (first, second))
    notes = [f"ΔW = {after} − {before}"]
    if array.shape != (m, n):
        notes.append(f"the upper left {array.shape[0]:,} × {array.shape[1]:,} of {m:,} × {n:,}")
    module = printable(name).removesuffix(".weight")
    return Target(
        id=f"update-{hashlib.sha256(array.tobytes()).hexdigest()[:12]}",
        title=f"ΔW of {module}",
        kind="update",
        description=f"ΔW of {module}, {before} → {after}",
        source=source,
        licence=licence,
        array=array,
        notes=tuple(notes),
    )
