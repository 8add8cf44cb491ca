"""Two adapters of one model at once: which directions they share, and whether they add up."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lolora_core.adapters.kinds import matrix_shape
from lolora_core.adapters.stored import LINEAR
from lolora_core.checkpoints.align import left_out, stored_kinds
from lolora_core.checkpoints.directions import Directions, read_directions
from lolora_core.checkpoints.overlap_words import verdict
from lolora_core.checkpoints.pairs import natural, part_of, read_update
from lolora_core.checkpoints.parallel import NamedProgress, run_jobs
from lolora_core.checkpoints.rows import Row
from lolora_core.checkpoints.same_names import same_names
from lolora_core.checkpoints.sources import SourceLike, open_source
from lolora_core.common.names import printable
from lolora_core.common.threads import one_thread
from lolora_core.files.tensors import MappingSource, TensorSource

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["OVERLAP_HELP", "Overlap", "overlap"]

_ANGLES = ("largest_cosine", "mean_cosine", "overlap", "random")
_SPACES = (
    ("column", "column spaces, among the outputs"),
    ("row", "row spaces, among the inputs"),
)

#: What each column of `Overlap.frame` is; A and B are the two updates of a module.
OVERLAP_HELP = {
    "name": "Name of the module's weight, the same in both.",
    "rows": "Outputs of the module, m.",
    "cols": "Inputs of the module, n.",
    "first_rank": "Directions of A that are looked at: of an adapter those with a singular value "
    "above σ₁/1000, of another update those that hold 99 % of ‖A‖²_F.",
    "second_rank": "Directions of B that are looked at, chosen in the same way.",
    "first_norm": "‖A‖_F, no unit.",
    "second_norm": "‖B‖_F, no unit.",
    "sum_norm": "‖A + B‖_F: √(‖A‖² + ‖B‖²) where they do not meet, more where they add up, less "
    "where they cancel.",
    "cosine": "⟨A, B⟩/(‖A‖·‖B‖), from −1 (they cancel) over 0 (they do not meet) to 1 (the same "
    "up to scale).",
    **{
        key: text
        for side, words in _SPACES
        for key, text in (
            (
                f"{side}_largest_cosine",
                f"Largest cosine of the principal angles of the {words}: 1 where they share a "
                "direction.",
            ),
            (
                f"{side}_mean_cosine",
                f"Mean cosine of the min(r_A, r_B) principal angles of the {words}.",
            ),
            (
                f"{side}_overlap",
                f"Mean squared cosine of the principal angles of the {words}: 0 where they are "
                "orthogonal, 1 where the one holds the other.",
            ),
            (
                f"{side}_random",
                f"What {side}_overlap is on average for random spaces of these ranks: "
                f"max(r_A, r_B)/{'m' if side == 'column' else 'n'}.",
            ),
        )
    },
}


@dataclass(frozen=True, eq=False)
class Overlap:
    """What `overlap` found.

    Attributes
    ----------
    rows : tuple of dict
        One for each module that both change, in natural order of the names; `OVERLAP_HELP` says
        what each key is. Cosines of an update that is zero are None.
    total : dict
        The same over all modules together: norms and `cosine` of all that the adapters hold, and
        the principal angles of all shared modules side by side.
    only_first, only_second : tuple of str
        Modules that one of them changes.
    skipped : dict of str to str
        What could not be compared, with the reason; it is in no total.
    notes : tuple of str
        What was cut or passed over when the two were read.
    complete : bool
        False where `progress` stopped it; the total is then of what is done.
    """

    rows: tuple[Row, ...]
    total: dict[str, float | None]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    skipped: dict[str, str]
    notes: tuple[str, ...]
    complete: bool

    @property
    def verdict(self) -> str:
        """Whether they clash when both are applied, in a few sentences; see `verdict`."""
        return verdict(self.total, self.rows)

    def frame(self) -> pd.DataFrame:
        """Return one row for each shared module, with the columns of `OVERLAP_HELP`."""
        import pandas as pd  # slow to load

        frame = pd.DataFrame(list(self.rows), columns=list(OVERLAP_HELP))
        whole = {"rows", "cols", "first_rank", "second_rank"}
        return frame.astype({c: "float64" for c in frame if c not in {"name", *whole}})


def overlap(
    first: SourceLike,
    second: SourceLike,
    *,
    n_jobs: int = -1,
    progress: NamedProgress | None = None,
) -> Overlap:
    """Compare two adapters of one model, module by module, with outputs as rows.

    Files of kohya and diffusers are matched by what their names mean, see `same_names`.

    With the orthonormal bases U_A (m×r_A) and U_B (m×r_B) of the column spaces of the updates A
    and B, the cosines of the principal angles are the singular values of U_Aᵀ·U_B, and their mean
    square is ‖U_AᵀU_B‖²_F/min(r_A, r_B); two random spaces have max(r_A, r_B)/m on average. The
    row spaces are compared in the same way in n dimensions. ‖A + B‖² = ‖A‖² + ‖B‖² + 2⟨A, B⟩. All
    of it is read from the factors of an adapter where they are thin, without forming ΔW.

    Parameters
    ----------
    first, second : source
        Adapters, or updates ΔW; see `open_source`. Tensors by name are taken as updates.
    n_jobs : int
        Modules at a time; -1 is one for each core.
    progress : callable, optional
        ``progress(done, total, name)`` after each module; where it returns False, it stops.

    Returns
    -------
    Overlap

    Raises
    ------
    FileNotFoundError, ValueError
        A source that is not there or damaged, one that is no adapter or update, a tensor that is
        not finite, or modules of the same names whose shapes are all different.

    Examples
    --------
    >>> one, other = torch.zeros(2, 6, 4)
    >>> one[0, 0], other[1, 0] = 3.0, 4.0
    >>> found = overlap({"a.weight": one}, {"a.weight": other}, n_jobs=1)
    >>> found.total["sum_norm"], found.total["column_overlap"], found.total["row_overlap"]
    (5.0, 0.0, 1.0)
    """
    one, two = same_names(_open(first, "first"), _open(second, "second"))
    names, lone, skipped = _match(one, two)
    calls = [
        *((_compare, part_of(one, name), part_of(two, name), name) for name in names),
        *((_norm, part_of(source, name), name) for source, held in lone for name in held),
    ]
    found: dict[str, Row | float] = {}
    with closing(run_jobs(calls, len(calls), n_jobs, progress)) as answers:
        found.update(answers)
    rows = [row for name in names if isinstance(row := found.get(name), dict)]
    norms = [[v for name in held if isinstance(v := found.get(name), float)] for _, held in lone]
    return Overlap(
        tuple(rows),
        _total(rows, norms[0], norms[1]),
        lone[0][1],
        lone[1][1],
        skipped,
        (
            *(f"{source.label}: {note}" for source in (one, two) for note in source.notes),
            *_no_name_shared(one, two, names),
        ),
        len(found) == len(calls),
    )


def _open(where: SourceLike, argument: str) -> TensorSource:
    if isinstance(where, Mapping):
        return MappingSource(where, is_update=True)
    source = open_source(where, needs="update")
    if not source.is_update:
        raise ValueError(
            f"{argument} must be an adapter or updates ΔW; {source.label} holds weights. Extract "
            "its adapter first: lolora extract BASE TUNED --output FOLDER"
        )
    return source


class _Matched(NamedTuple):
    names: tuple[str, ...]
    lone: tuple[tuple[TensorSource, tuple[str, ...]], tuple[TensorSource, tuple[str, ...]]]
    skipped: dict[str, str]


def _match(one: TensorSource, two: TensorSource) -> _Matched:
    skipped = left_out(one) | left_out(two)
    usable: list[list[str]] = []
    for source in (one, two):
        names = sorted(source.tensors, key=natural)
        reasons = {name: _reason(source, name) for name in names}
        skipped |= {name: reason for name, reason in reasons.items() if reason}
        usable.append([name for name in names if not reasons[name]])
    names = [name for name in usable[0] if name in two.tensors and name not in skipped]
    differ = {name: reason for name in names if (reason := _difference(one, two, name))}
    if names and len(differ) == len(names):
        name, reason = next(iter(differ.items()))
        raise ValueError(
            f"{one.label} and {two.label} are not adapters of one model: {printable(name)}: "
            f"{reason}"
        )
    lone = tuple(
        (source, tuple(n for n in held if n not in other.tensors))
        for source, held, other in ((one, usable[0], two), (two, usable[1], one))
    )
    shared = tuple(name for name in names if name not in differ)
    return _Matched(shared, (lone[0], lone[1]), dict(sorted((skipped | differ).items())))


def _no_name_shared(one: TensorSource, two: TensorSource, names: Sequence[str]) -> list[str]:
    if names or not one.tensors or not two.tensors:
        return []
    here, there = (printable(min(source.tensors, key=natural)) for source in (one, two))
    return [
        f"no module has one name in both: {one.label} names {here}, {two.label} names {there}; "
        "they are taken as different modules"
    ]


def _reason(source: TensorSource, name: str) -> str:
    info = source.tensors[name]
    if len(info.shape) < 2 or math.prod(info.shape) == 0:
        return info.reason or f"it has {len(info.shape)} axes, and a matrix has 2"
    # More axes are a convolution's, which is looked at as out × (in·kernel).
    return info.reason if len(info.shape) == 2 and info.reason else ""


def _difference(one: TensorSource, two: TensorSource, name: str) -> str:
    here, there = (_shape(source, name) for source in (one, two))
    return "" if here == there else f"it is {here} in the first and {there} in the second"


def _is_turned(source: TensorSource, name: str) -> bool:
    stored = stored_kinds(source).get(name.removesuffix(".weight"), LINEAR)
    return stored.is_transposed


def _shape(source: TensorSource, name: str) -> tuple[int, int]:
    """Return the outputs and the inputs of a matrix."""
    m, n = matrix_shape(source.tensors[name].shape)
    return (n, m) if _is_turned(source, name) else (m, n)


def _directions(source: TensorSource, name: str) -> Directions:
    found = read_directions(source, name)
    if not _is_turned(source, name):
        return found
    return found._replace(left=found.right, right=found.left)


def _norm(source: TensorSource, name: str) -> tuple[str, float]:
    with one_thread():
        return name, read_update(None, source, name).norm


def _compare(one: TensorSource, two: TensorSource, name: str) -> tuple[str, Row]:
    with one_thread():
        a, b = _directions(one, name), _directions(two, name)
        row: Row = {
            "name": name,
            "rows": a.left.shape[0],
            "cols": a.right.shape[0],
            "first_rank": a.rank,
            "second_rank": b.rank,
            **_norms(a.norm, b.norm, a.inner(b)),
        }
        for side, here, there in (("column", a.left, b.left), ("row", a.right, b.right)):
            row |= _angles(side, here[:, : a.rank], there[:, : b.rank])
        return name, row


def _norms(first: float, second: float, inner: float) -> dict[str, float | None]:
    product = first * second
    return {
        "first_norm": first,
        "second_norm": second,
        "sum_norm": math.sqrt(max(0.0, first**2 + second**2 + 2 * inner)),
        "cosine": max(-1.0, min(1.0, inner / product)) if product else None,
    }


def _angles(
    side: str, here: Float[Tensor, "m r"], there: Float[Tensor, "m s"]
) -> dict[str, float | None]:
    ranks = here.shape[1], there.shape[1]
    values: tuple[float | None, ...] = (None, None, None, None)
    if min(ranks):
        cosines = torch.linalg.svdvals(here.T @ there).clamp(max=1.0)
        values = (
            float(cosines.max()),
            float(cosines.mean()),
            float((cosines**2).mean()),
            max(ranks) / here.shape[0],
        )
    return dict(zip((f"{side}_{what}" for what in _ANGLES), values, strict=True))


def _total(
    rows: Sequence[Row], first: Sequence[float], second: Sequence[float]
) -> dict[str, float | None]:
    def numbers(key: str, some: Sequence[Row] = rows) -> list[float]:
        return [float(row[key] or 0.0) for row in some]

    norms = {"first_norm": first, "second_norm": second}
    whole = [math.hypot(*numbers(key), *alone) for key, alone in norms.items()]
    inner = _weighted(numbers("cosine"), numbers("first_norm"), numbers("second_norm"))
    total = _norms(whole[0], whole[1], inner)
    # The principal angles of all modules side by side, min(r_A, r_B) of each.
    met = [row for row in rows if row["row_overlap"] is not None]
    counts = list(map(min, numbers("first_rank", met), numbers("second_rank", met)))
    for side, _ in _SPACES:
        for what in _ANGLES:
            key = f"{side}_{what}"
            values = numbers(key, met)
            if not met:
                total[key] = None
            elif what == "largest_cosine":
                total[key] = max(values)
            else:
                total[key] = _weighted(values, counts) / sum(counts)
    return total


def _weighted(*factors: Sequence[float]) -> float:
    return sum(map(math.prod, zip(*factors, strict=True)))
