"""The adapter of a plan as the file that is downloaded, cached by content."""

from __future__ import annotations

import io
import re
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cachetools.keys import hashkey

from app.shared.caches import Kind
from app.views.your_weights.adapter_words import holds, readme
from app.views.your_weights.compute import extracted
from app.views.your_weights.pairs import Pair
from app.views.your_weights.plan import AdapterPlan
from lolora_core import FAMILIES
from lolora_core.adapters.sets import AdapterSet
from lolora_core.checkpoints import Extraction, read_adapters, to_peft
from lolora_core.checkpoints.pairs import frobenius, read_update
from lolora_core.checkpoints.single import DTYPES

__all__ = ["Archive", "archive", "folder_name"]


@dataclass(frozen=True, eq=False)
class Archive:
    """An adapter as the file that is downloaded, and what was measured of it.

    Attributes
    ----------
    data : bytes
        A zip with one folder: the adapter, read again and compared, and a README.
    stored : Extraction
        With the errors of what the file holds.
    num_parameters : int
        Numbers that the file holds.
    adapters : AdapterSet
        What was read again.
    """

    data: bytes
    stored: Extraction
    num_parameters: int
    adapters: AdapterSet

    @property
    def nbytes(self) -> int:
        """Memory beside the factors, which are those of the extraction."""
        return len(self.data)


def _archive_key(pair: Pair, plan: AdapterPlan, form: str) -> object:
    return hashkey(pair.key, plan.key, form)


@Kind[Archive]("archives").cached(_archive_key)
def archive(pair: Pair, plan: AdapterPlan, form: str) -> Archive:
    """Return the file of a plan in one format.

    Parameters
    ----------
    pair : Pair
    plan : AdapterPlan
    form : str
        "PEFT", "PEFT, truncated" or "lolora_core".

    Raises
    ------
    OSError, ValueError
        What was read back is not what was written, or a source cannot be read.
    """
    kept = extracted(pair, plan)
    stored, adapters = kept.extraction, kept.extraction.adapters
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / folder_name(pair, plan, form)
        if form == "lolora_core":
            stored.save(folder)
            count, summary, exact = adapters.num_parameters, "", True
        else:
            chosen = kept.exact if form == "PEFT" else kept.truncated
            rank = plan.rank if form != "PEFT" else None
            to_peft(
                adapters,
                folder,
                kind=chosen.kind,
                rank=rank,
                dtype=DTYPES[plan.dtype],
                base_config=stored.base_config,
            )
            count, summary = chosen.num_parameters, holds(chosen)
            exact = chosen.exact and plan.dtype == "float32"
        read = read_adapters(folder)
        # What is exact and unrounded was compared with the adapter when it was written.
        if not exact:
            stored = replace(stored, rows=_measured(pair, read, stored.rows))
        text = readme(
            folder.name,
            form,
            base=pair.base.label,
            tuned=pair.tuned.label,
            family=plan.family,
            modules=len(adapters.terms),
            error=stored.relative_error,
            summary=summary,
        )
        (folder / "README.md").write_text(text, encoding="utf-8")
        return Archive(_zipped(folder), stored, count, read)


def _measured(
    pair: Pair, read: AdapterSet, rows: Sequence[dict[str, Any]]
) -> tuple[dict[str, Any], ...]:
    """Return the rows of an extraction with the errors of the adapter that a folder holds."""
    made = []
    for row in rows:
        update = read_update(pair.base, pair.tuned, f"{row['name']}.weight")
        gap = frobenius(update.delta - read.delta(row["name"]))
        made.append({**row, "relative_error": gap / (update.norm or 1.0)})
    return tuple(made)


def folder_name(pair: Pair, plan: AdapterPlan, form: str) -> str:
    """Return a name for the folder, of plain characters; different plans and formats differ."""
    stem = re.sub(r"[^\w-]+", "-", pair.tuned.label.removesuffix(".safetensors")).strip("-")
    grid = "" if FAMILIES[plan.family].spans_whole else f"-{plan.blocks[0]}x{plan.blocks[1]}"
    amount = f"e{round(plan.energy * 100)}" if plan.spend == "energy" else f"r{plan.rank}"
    shared = "-shared" if plan.spend == "shared" else ""
    kind = form.lower().replace(", ", "-")
    if form == "PEFT, truncated" and plan.spend == "energy":
        kind += f"-r{plan.rank}"
    name = f"{stem[-60:] or 'adapter'}-{plan.family}{grid}-{amount}{shared}"
    return f"{name}-{plan.dtype}-{kind}"


def _zipped(folder: Path) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(folder.iterdir()):
            # A fixed date: equal adapters give equal files.
            entry = zipfile.ZipInfo(f"{folder.name}/{path.name}", (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(entry, path.read_bytes())
    return out.getvalue()
