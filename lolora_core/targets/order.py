"""The same matrix with its rows in another order: what was next to what is lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lolora_core.targets.base import Target

__all__ = ["shuffle_rows"]


def shuffle_rows(target: Target, stride: int) -> Target:
    """Return the target with every k-th row taken in turn: 0, k, 2k, …, then 1, k + 1, ….

    Neighbours come to lie far apart. Rows are only moved, so the singular values of the whole
    matrix stay as they are; those of its blocks do not. Natural cuts lose their meaning and go.

    Parameters
    ----------
    target : Target
    stride : int
        k; with 1 nothing is moved.

    Raises
    ------
    ValueError
        If the stride is below 1.

    Examples
    --------
    >>> t = Target("rows", "Rows", "pattern", "", "", "", np.arange(6.0)[:, None])
    >>> shuffle_rows(t, 2).array[:, 0].tolist()
    [0.0, 2.0, 4.0, 1.0, 3.0, 5.0]
    """
    if stride < 1:
        raise ValueError(f"stride must be at least 1, but it is {stride}.")
    if stride == 1:
        return target
    rows = target.shape[0]
    order = np.concatenate([np.arange(start, rows, stride) for start in range(min(stride, rows))])
    lines = ""
    if target.code:
        lines = (
            f"from lolora_core.targets import shuffle_rows\n{target.code}\n"
            f"target = shuffle_rows(target, {stride})"
        )
    return replace(
        target,
        array=target.array[order],
        cuts=(),
        notes=(*target.notes, f"rows are shuffled: every {stride}-th row in turn"),
        code=lines,
    )
