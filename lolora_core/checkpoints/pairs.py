"""Which matrices two checkpoints share, and the update ΔW of each."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lolora_core.adapters.kinds import WeightKind, matrix_shape, weight_kinds
from lolora_core.common.checks import reject_unfit
from lolora_core.common.names import printable
from lolora_core.files.header import TensorInfo
from lolora_core.files.tensors import MappingSource, TensorSource, read_matrix

__all__ = [
    "Pairs",
    "Update",
    "change_of",
    "frobenius",
    "layer_and_kind",
    "natural",
    "pair_names",
    "part_of",
    "read_update",
    "tied",
]


class Pairs(NamedTuple):
    """What is to be read and what is not.

    Attributes
    ----------
    names : tuple of str
        Matrices with the same name and shape in both, in natural order.
    skipped : dict of str to str
        Every other tensor, with the reason.
    """

    names: tuple[str, ...]
    skipped: dict[str, str]


def natural(name: str) -> list[tuple[int, str]]:
    """Return a sort key that puts layer 2 before layer 10.

    Examples
    --------
    >>> sorted(["h.10.w", "h.2.w"], key=natural)
    ['h.2.w', 'h.10.w']
    """
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)
    ]


def layer_and_kind(name: str) -> tuple[int | None, str]:
    """Return the layer, the first whole number in a name, and what comes after it.

    Without a number the layer is None and the kind is the name; ".weight" is left out.

    Examples
    --------
    >>> layer_and_kind("encoder.layer.3.attention.self.query.weight")
    (3, 'attention.self.query')
    >>> layer_and_kind("embeddings.word_embeddings.weight")
    (None, 'embeddings.word_embeddings')
    """
    module = name.removesuffix(".weight")
    found = re.search(r"(?:^|[.-])(\d+)(?:[.-]|$)", module)
    if found is None:
        return None, module
    return int(found[1]), module[found.end() :] or module[: found.start()]


def pair_names(base: TensorSource | None, tuned: TensorSource) -> Pairs:
    """Compare two sources by their headers.

    Weights of convolutions are matrices too, (out, in·k_h·k_w).

    Raises
    ------
    ValueError
        `base` is an adapter, or no matrix has the same name and shape in both: checkpoints of
        different models.
    """
    if base is not None and base.is_update:
        raise ValueError(
            f"base must be a checkpoint; {base.label} is an adapter. Give it as tuned: the two "
            "may be swapped"
        )
    if base is None:
        base = tuned
    skipped: dict[str, str] = {}
    names = []
    kinds = weight_kinds(base.tensors, base.config)
    for name in sorted({*base.tensors, *tuned.tensors}, key=natural):
        here, there = base.tensors.get(name), tuned.tensors.get(name)
        if here is None or there is None:
            # An adapter holds few of the base's tensors, and that is no news.
            if not tuned.is_update or there is not None:
                skipped[name] = f"only in {'tuned' if here is None else 'base'}"
        elif not _same_shape(here, there, tuned.is_update):
            skipped[name] = f"its shape is {here.shape} in base and {there.shape} in tuned"
        elif reason := _no_matrix(here, there, kinds.get(name.removesuffix(".weight"))):
            skipped[name] = reason
        else:
            names.append(name)
    if not names:
        raise ValueError(
            f"{base.label} and {tuned.label} share no matrix of one name and shape: they are not "
            f"checkpoints of one model. base holds {_some(base)}; tuned holds {_some(tuned)}"
        )
    return Pairs(tuple(names), skipped)


def _same_shape(here: TensorInfo, there: TensorInfo, is_update: bool) -> bool:
    if here.shape == there.shape:
        return True
    # The update of a convolution is a matrix already.
    flat = min(len(here.shape), len(there.shape)) >= 2
    return is_update and flat and matrix_shape(here.shape) == matrix_shape(there.shape)


def _no_matrix(here: TensorInfo, there: TensorInfo, kind: WeightKind | None) -> str:
    if reason := here.reason or there.reason:
        return reason
    if len(here.shape) == 2 or (kind is not None and kind.stored.kind == "conv"):
        return ""
    axes = f"it has {len(here.shape)} axes, and a matrix has 2"
    return f"{axes}: {kind.why}" if kind is not None else axes


def _some(source: TensorSource) -> str:
    names: Iterable[str] = sorted(source.tensors, key=natural)
    shown = [f"{printable(n)} {source.tensors[n].shape}" for n in names]
    return ", ".join(shown[:3]) + (f" and {len(shown) - 3} more" if len(shown) > 3 else "")


def part_of(source: TensorSource, name: str) -> TensorSource:
    """Return what a worker needs of a source to read one tensor."""
    if isinstance(source, MappingSource):
        return replace(source, held={name: source.held[name]})
    return source


class Update(NamedTuple):
    """ΔW of one matrix.

    Attributes
    ----------
    delta : Tensor, shape (m, n)
        float32, or float64 where a checkpoint is.
    norm : float
        ‖ΔW‖_F.
    base_norm : float
        ‖W‖_F of the base; NaN without one.
    """

    delta: Float[Tensor, "m n"]
    norm: float
    base_norm: float


def read_update(base: TensorSource | None, tuned: TensorSource, name: str) -> Update:
    """Read a pair of tensors and subtract them.

    Raises
    ------
    NonFiniteError
        A tensor is not finite, or too large to be squared.
    """
    after = read_matrix(tuned, name)
    before = None if base is None else read_matrix(base, name)
    delta = after if before is None or tuned.is_update else after - before
    norm = frobenius(delta)
    base_norm = float("nan") if before is None else frobenius(before)
    # A sum of squares shows what is not finite for less than a look at every entry; the look is
    # for the message, and for the sums that overflow.
    if not (math.isfinite(norm) and (before is None or math.isfinite(base_norm))):
        for word, matrix in (("base", before), ("tuned", after), ("the update", delta)):
            if matrix is not None:
                reject_unfit(matrix, f"{printable(name)} of {word}")
    return Update(delta, norm, base_norm)


def change_of(base: TensorSource, tuned: TensorSource, name: str) -> tuple[str, float | None]:
    """Return ‖tuned − base‖ of a tensor of any number of axes; None where it is not read.

    NaN where one of them is not finite.

    Examples
    --------
    >>> held = [MappingSource({"b": torch.full((4,), value)}) for value in (1.0, 3.0)]
    >>> change_of(*held, "b")
    ('b', 4.0)
    """
    try:
        before, after = (source.read(name) for source in (base, tuned))
    except ValueError:
        return name, None
    if not (before.is_floating_point() and after.is_floating_point()):
        return name, None
    gap = float(torch.linalg.vector_norm(after.double() - before.double()))
    return name, gap if math.isfinite(gap) else math.nan


def tied(
    base: TensorSource, tuned: TensorSource, marks: Mapping[str, tuple[object, ...]]
) -> dict[str, str]:
    """Return the tensors that are stored twice, each with the first name of the same values.

    `marks` are shapes, norms and the like: only those of equal marks are read again.

    Examples
    --------
    >>> held = MappingSource({"head": torch.ones(3), "wte": torch.ones(3)})
    >>> tied(held, held, {"wte": (3,), "head": (3,)})
    {'wte': 'head'}
    """
    alike: dict[tuple[object, ...], list[str]] = defaultdict(list)
    for name in sorted(marks, key=natural):
        alike[marks[name]].append(name)
    found: dict[str, str] = {}
    for first, *others in alike.values():
        for name in others:
            if all(torch.equal(s.read(first), s.read(name)) for s in (base, tuned)):
                found[name] = first
    return found


def frobenius(matrix: Float[Tensor, "m n"]) -> float:
    """Return ‖X‖_F: rows in the dtype of the matrix, their sum in float64.

    That takes a third of the time of float64 throughout and is exact to 10⁻⁶. Squares that
    overflow or vanish in float32 are summed again in float64.

    Examples
    --------
    >>> round(frobenius(torch.ones(3, 3)), 6), frobenius(torch.full((2, 2), 1e-30)) > 0
    (3.0, True)
    """
    rows = torch.linalg.vector_norm(matrix, dim=1)
    norm = float(torch.linalg.vector_norm(rows, dtype=torch.float64))
    if 0 < norm < math.inf and bool((rows > 0).all()):
        return norm
    return float(torch.linalg.vector_norm(matrix, dtype=torch.float64))
