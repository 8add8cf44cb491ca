"""What a reader should know before believing the numbers of a survey."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from lolora_core.checkpoints.matrix_row import SurveySettings
from lolora_core.checkpoints.rows import Row
from lolora_core.common.words import join_words
from lolora_core.files.tensors import TensorSource

__all__ = ["survey_notes"]

#: A median ‖ΔW‖/‖W‖ above this is no fine-tune: two unrelated matrices of one norm have √2.
UNRELATED = 1.0

#: Rounding of at least this share of ‖ΔW‖ is worth a note.
NOTED = 0.1


def survey_notes(
    base: TensorSource | None,
    tuned: TensorSource,
    settings: SurveySettings,
    rows: Sequence[Row],
) -> tuple[str, ...]:
    """Return what the rows say as a whole, each a sentence without its full stop.

    Examples
    --------
    >>> from lolora_core.files.tensors import MappingSource
    >>> settings = SurveySettings(("global",), ((8, 8),), 16, None, 0)
    >>> row = {"name": "a", "relative_update": 0.0, "update_norm": 0.0, "rounding_only": False}
    >>> survey_notes(None, MappingSource({}), settings, [row])
    ('no matrix has changed: base and tuned hold the same values',)
    """
    ratios = [float(row["relative_update"] or np.nan) for row in rows]
    known = [ratio for ratio in ratios if not np.isnan(ratio)]
    notes = []
    if known and np.median(known) > UNRELATED:
        notes.append(
            f"the median ‖ΔW‖/‖W‖ is {np.median(known):.3g}: tuned is probably not a fine-tune of "
            "base"
        )
    if rows and not any(row["update_norm"] for row in rows):
        notes.append("no matrix has changed: base and tuned hold the same values")
    if base is None:
        if settings.intruders:
            notes.append(
                "intruders are not counted: they are found against the base, and none is given"
            )
    else:
        notes += _rounding_notes(base, tuned, rows)
    return tuple(notes)


def _rounding_notes(base: TensorSource, tuned: TensorSource, rows: Sequence[Row]) -> list[str]:
    def types(some: Sequence[Row]) -> str:
        pairs = Counter(
            f"{base.tensors[name].dtype} against {tuned.tensors[name].dtype}"
            for name in (str(row["name"]) for row in some)
        )
        return join_words([pair for pair, _ in pairs.most_common()])

    notes = []
    if only := [row for row in rows if row["rounding_only"]]:
        notes.append(
            f"{len(only)} of {len(rows)} matrices differ by rounding alone ({types(only)}): what "
            "is measured of them is noise of the conversion, not a fine-tune"
        )
    shares = [
        (float(row["rounding_share"]), row)
        for row in rows
        if row["rounding_share"] is not None and not row["rounding_only"]
    ]
    if noted := [(share, row) for share, row in shares if share >= NOTED]:
        largest = max(share for share, _ in noted)
        notes.append(
            f"base and tuned are stored in different types ({types([row for _, row in noted])}): "
            f"if the one was rounded, then in {len(noted)} of {len(rows)} matrices that is a tenth "
            f"of ‖ΔW‖ or more, at most {min(largest, 1.0):.0%}"
        )
    return notes
