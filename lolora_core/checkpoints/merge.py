"""An adapter added into its model: W + ΔW in the files of the base."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import torch
from torch import Tensor

from lolora_core.adapters.kinds import matrix_shape
from lolora_core.adapters.stored import LINEAR
from lolora_core.checkpoints.align import AlignedSource, left_out, open_pair, stored_kinds
from lolora_core.checkpoints.parallel import NamedProgress
from lolora_core.checkpoints.sources import SourceLike, open_source
from lolora_core.common.names import did_you_mean, printable
from lolora_core.files.found import Found, find_local
from lolora_core.files.tensors import MappingSource, SafetensorsSource, TensorSource

__all__ = ["Merged", "merge_checkpoint"]

#: What a tokenizer and a configuration are stored as; nothing else of the base is copied.
_BESIDE = (".json", ".txt", ".model", ".jinja", ".tiktoken")
_FLOATS = ("F64", "F32", "F16", "BF16")


@dataclass(frozen=True)
class Merged:
    """What `merge_checkpoint` wrote.

    Attributes
    ----------
    folder : Path
    names : tuple of str
        The tensors that changed.
    nbytes : int
        Of the files of weights.
    rounding : float
        ‖round(W + ΔW) − (W + ΔW)‖_F / ‖ΔW‖_F over all of them: the share of the update that the
        dtype of the base loses.
    notes : tuple of str
    """

    folder: Path
    names: tuple[str, ...]
    nbytes: int
    rounding: float
    notes: tuple[str, ...]


def merge_checkpoint(
    base: str | PathLike[str],
    adapter: SourceLike,
    folder: str | PathLike[str],
    *,
    progress: NamedProgress | None = None,
) -> Merged:
    """Write W + ΔW, tensor by tensor, with the names, dtypes, shards and index of the base.

    The sum is computed in float32 (float64 where the base is) and rounded once. Files are copied
    and overwritten in place, so memory is bounded by the largest tensor.

    Parameters
    ----------
    base : path
        A .safetensors file or a folder on this machine, with weights that are not quantised.
    adapter : source
        See `open_source`; tensors given by name are updates ΔW.
    folder : path
        New or empty. Configuration and tokenizer of a base folder are copied to it.
    progress : callable, optional
        ``progress(done, total, name)`` after each tensor.

    Returns
    -------
    Merged

    Raises
    ------
    FileNotFoundError, ValueError
        A base that is not of plain weights; a module of the adapter that it does not hold, or
        holds in another shape; a folder that is not empty; too little room on the disk; a sum
        beyond the range of the dtype. Nothing is left then.

    Examples
    --------
    >>> from safetensors.torch import load_file, save_file
    >>> with tempfile.TemporaryDirectory() as made:
    ...     save_file({"fc.weight": torch.eye(2)}, f"{made}/base.safetensors")
    ...     update = {"fc.weight": torch.ones(2, 2)}
    ...     merged = merge_checkpoint(f"{made}/base.safetensors", update, f"{made}/merged")
    ...     load_file(f"{made}/merged/base.safetensors")["fc.weight"].tolist()
    [[2.0, 1.0], [1.0, 2.0]]
    """
    source_path, target = Path(base), Path(folder)
    found, weights = _open_base(source_path)
    given = MappingSource(adapter, is_update=True) if isinstance(adapter, Mapping) else adapter
    opened = open_source(given, needs="update")
    updates = open_pair(weights, opened)[1]
    _check_fit(weights, opened, updates)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ValueError(f"folder must be new or empty; {target} is not")
    beside = _beside(found) if source_path.is_dir() else ()
    nbytes = sum(file.size for file in found.files)
    _check_room(target, nbytes + sum(path.stat().st_size for path in beside))
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as made:
        draft = Path(made) / "merged"
        draft.mkdir()
        for path in beside:
            shutil.copyfile(path, draft / path.name)
        rounding = _write(weights, updates, draft, progress)
        draft.rename(target)
    more = tuple(
        f"not in the merged model: {name}, {reason}" for name, reason in left_out(updates).items()
    )
    notes = (*weights.notes, *updates.notes, *more)
    return Merged(target, tuple(updates.tensors), nbytes, rounding, notes)


def _open_base(path: Path) -> tuple[Found, SafetensorsSource]:
    if not path.exists():
        raise FileNotFoundError(f"base must be a file or folder on this machine; {path} is not")
    found = find_local(path)
    headers = found.headers()
    contents = found.contents(headers)
    if contents.kind not in ("model", "matrices"):
        raise ValueError(
            f"base must be a model with plain weights; {found.label} is {contents.refusal}"
        )
    made = SafetensorsSource(
        found.label, found.files, config=found.config, notes=found.notes, headers=headers
    )
    return found, made


def _check_fit(base: SafetensorsSource, opened: TensorSource, updates: TensorSource) -> None:
    """Raise ValueError unless every update has its weight, and its orientation is certain."""
    stored, own = stored_kinds(updates), stored_kinds(opened)
    spelt = updates.names if isinstance(updates, AlignedSource) else {}
    for name, info in updates.tensors.items():
        shown = printable(name)
        if name not in base.tensors:
            near = did_you_mean(name, base.tensors, "it belongs to another model")
            raise ValueError(f"{opened.label} changes {shown}, which {base.label} lacks; {near}")
        there = base.tensors[name]
        if there.dtype not in _FLOATS:
            raise ValueError(f"{shown} of {base.label} is {there.dtype}, and no float is added")
        module = name.removesuffix(".weight")
        theirs = spelt.get(name, name)
        here = stored.get(module, LINEAR)
        said = own.get(theirs.removesuffix(".weight"), LINEAR)
        if here.kind == "unclear" and len(set(there.shape)) == 1:
            raise ValueError(f"{shown} may be stored [out, in] or [in, out]: {here.doubt}")
        given = opened.tensors[theirs].shape
        turned = given != info.shape
        if not _fits(info.shape, there.shape) or (
            turned and here.is_transposed == said.is_transposed
        ):
            raise ValueError(
                f"the update of {shown} has the shape {given}, and the weight of {base.label} has "
                f"{there.shape}"
            )


def _fits(update: tuple[int, ...], weight: tuple[int, ...]) -> bool:
    """Return whether shapes are equal, or the update is the matrix out × in·kernel of a weight."""
    return update == weight or (
        len(update) == 2 and len(weight) > 2 and update == matrix_shape(weight)
    )


def _beside(found: Found) -> tuple[Path, ...]:
    assert found.folder is not None
    return tuple(
        path
        for path in sorted(found.folder.iterdir())
        if path.is_file()
        and path.suffix in _BESIDE
        and (path.name == found.index_name or ".index" not in path.name)
    )


def _check_room(target: Path, needed: int) -> None:
    there = next(path for path in (target.absolute(), *target.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise ValueError(f"the merged model takes {needed:,} bytes, and {there} has {free:,} left")


def _write(
    base: SafetensorsSource, updates: TensorSource, draft: Path, progress: NamedProgress | None
) -> float:
    """Copy the files of the base and put the sums into them; return the share lost to rounding."""
    for file in base.files:
        shutil.copyfile(file.label, draft / Path(file.label).name)
        file.read(0, 0)  # raises where the base has changed meanwhile
    lost = moved = 0.0
    names = tuple(updates.tensors)
    for done, name in enumerate(names):
        file, stored = base.place(name)
        update = updates.read(name).reshape(stored.info.shape)
        summed, error, norm = _sum(base.read(name), update, name)
        lost, moved = lost + error**2, moved + norm**2
        with (draft / Path(file.label).name).open("r+b") as out:
            out.seek(stored.start)
            out.write(summed.contiguous().view(torch.uint8).numpy().data)
        if progress is not None:
            progress(done + 1, len(names), name)
    return math.sqrt(lost / moved) if moved else 0.0


def _sum(weight: Tensor, update: Tensor, name: str) -> tuple[Tensor, float, float]:
    """Return round(W + ΔW), the norm of what rounding took, and ‖ΔW‖."""
    wide = torch.float64 if torch.float64 in (weight.dtype, update.dtype) else torch.float32
    change = update.to(wide)
    exact = weight.to(wide) + change
    summed = exact.to(weight.dtype)
    # A weight that was infinite before is the base's own affair.
    if not bool(torch.isfinite(summed).all()) and bool(torch.isfinite(weight).all()):
        raise ValueError(
            f"W + ΔW of {printable(name)} is beyond the range of {weight.dtype}, or the update is "
            "not finite; nothing is written"
        )
    norm = torch.linalg.vector_norm
    error = norm(summed.to(wide) - exact, dtype=torch.float64)
    return summed, float(error), float(norm(change, dtype=torch.float64))
