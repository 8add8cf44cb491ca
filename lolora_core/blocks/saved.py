"""The file of an approximation: written whole, and checked against its bytes before it is made."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lolora_core.blocks.grid import Grid
from lolora_core.blocks.rank_maps import RankMap
from lolora_core.common.checks import compute_dtype
from lolora_core.files.bounded_json import parse_json
from lolora_core.files.header import STORED_DTYPES, Header, TensorInfo
from lolora_core.files.ranges import LocalFile, read_header

__all__ = ["MAX_ENTRIES", "Saved", "read_saved", "write_saved"]

#: Rows times columns of what is loaded; a matrix of zeros needs no bytes.
MAX_ENTRIES = 2**34

_FORMAT = "lolora-approximation-1"
_DTYPES = ("float16", "bfloat16", "float32", "float64")
_FACTORS = {STORED_DTYPES[name].torch: name for name in ("F32", "F64")}

Pair = tuple[Tensor, Tensor]


class Saved(NamedTuple):
    """What the file of an approximation holds.

    Attributes
    ----------
    family : str
    budget : int
    grid : Grid
    rank_map : ndarray of int, shape (K_r, K_c)
    dtype : torch.dtype
        Of the target.
    relative_error : float
    spans_whole : bool
        The only block counts as a global term.
    factors : dict
        (B_ij, A_ij) of every block with a rank.
    whole : (Tensor, Tensor), optional
        (B, A) of a global term.
    """

    family: str
    budget: int
    grid: Grid
    rank_map: RankMap
    dtype: torch.dtype
    relative_error: float
    spans_whole: bool
    factors: dict[tuple[int, int], Pair]
    whole: Pair | None = None


def write_saved(held: Saved, path: str | PathLike[str]) -> None:
    """Write the file that `read_saved` reads."""
    tensors = {
        "rank_map": torch.as_tensor(held.rank_map, dtype=torch.int64),
        "row_edges": torch.as_tensor(held.grid.row_edges, dtype=torch.int64),
        "col_edges": torch.as_tensor(held.grid.col_edges, dtype=torch.int64),
    }
    for (i, j), (b, a) in held.factors.items():
        tensors[f"B.{i}.{j}"] = b.contiguous()
        tensors[f"A.{i}.{j}"] = a.contiguous()
    if held.whole is not None:
        tensors["B.global"], tensors["A.global"] = (part.contiguous() for part in held.whole)
    metadata = {
        "format": _FORMAT,
        "family": held.family,
        "budget": str(held.budget),
        "dtype": str(held.dtype).removeprefix("torch."),
        "relative_error": repr(float(held.relative_error)),
        "spans_whole": "true" if held.spans_whole else "false",
    }
    save_file(tensors, path, metadata=metadata)


def read_saved(
    path: str | PathLike[str], *, device: str = "cpu", max_entries: int = MAX_ENTRIES
) -> Saved:
    """Read what `write_saved` wrote; sizes are held against the bytes before anything is made.

    Raises
    ------
    FileNotFoundError, ValueError
        No such file, or not one that fits together; the message says what is wrong.
    """
    file = LocalFile(Path(path))
    header = read_header(file)
    if header.metadata.get("format") != _FORMAT:
        raise ValueError(f"{path} is not a saved approximation")
    try:
        return _read(str(path), header, device, max_entries)
    except SafetensorError as problem:
        raise ValueError(f"{path} is not a readable safetensors file: {problem}") from None
    except ValueError as problem:
        raise ValueError(f"{path} is a damaged approximation: {problem}") from None


def _read(path: str, header: Header, device: str, max_entries: int) -> Saved:
    stored = {name: held.info for name, held in header.tensors.items()}
    for name, axes in (("row_edges", 1), ("col_edges", 1), ("rank_map", 2)):
        info = stored.get(name)
        if info is None or info.dtype != "I64" or len(info.shape) != axes:
            raise ValueError(f"it holds no {name} of 64-bit integers along {axes} axes")
    blocks = tuple(stored[name].shape[0] - 1 for name in ("row_edges", "col_edges"))
    if stored["rank_map"].shape != blocks:
        raise ValueError(f"its rank_map is not that of {blocks[0]}×{blocks[1]} blocks")
    dtype, error, spans_whole = _read_metadata(header.metadata)
    with safe_open(path, framework="pt", device=device) as file:
        edges = (tuple(file.get_tensor(f"{side}_edges").tolist()) for side in ("row", "col"))
        grid = Grid(*edges)
        if math.prod(grid.shape) > max_entries:
            raise ValueError(
                f"it is of a {grid.shape[0]:,} × {grid.shape[1]:,} matrix, and at most "
                f"{max_entries:,} entries are read"
            )
        rank_map = file.get_tensor("rank_map").numpy(force=True)
        if (rank_map < 0).any() or (rank_map > grid.max_ranks).any():
            raise ValueError("its rank_map holds ranks below 0, or above the full rank of a block")
        ranked = [(int(i), int(j)) for i, j in np.argwhere(rank_map > 0)]
        _check_factors(stored, grid, rank_map, ranked, dtype)
        factors = {(i, j): _pair(file, f"{{}}.{i}.{j}") for i, j in ranked}
        whole = _pair(file, "{}.global") if "B.global" in stored else None
    if spans_whole is None:
        # Files of version 0.1 do not say it.
        spans_whole = grid.blocks == (1, 1) and whole is None
    if spans_whole and grid.blocks != (1, 1):
        raise ValueError("it says that one block spans the matrix, but it has several")
    used = int((rank_map * grid.costs).sum())
    used += 0 if whole is None else whole[0].shape[1] * sum(grid.shape)
    budget = header.metadata.get("budget", "")
    if not re.fullmatch(r"[0-9]{1,18}", budget) or int(budget) < used:
        raise ValueError(f"its budget is not a number of {used:,} or more, which its ranks use")
    family = header.metadata.get("family", "")
    if not re.fullmatch(r"\w[\w-]{0,39}", family):
        raise ValueError("it does not name its family")
    return Saved(family, int(budget), grid, rank_map, dtype, error, spans_whole, factors, whole)


def _read_metadata(metadata: Mapping[str, str]) -> tuple[torch.dtype, float, bool | None]:
    """Return the dtype of the target, the relative error, and whether a block spans the whole."""
    name = metadata.get("dtype")
    if name not in _DTYPES:
        raise ValueError(f"its dtype must be one of {', '.join(_DTYPES)}")
    found = [_value(metadata.get(key)) for key in ("relative_error", "spans_whole")]
    error, spans_whole = found
    if isinstance(error, bool) or not isinstance(error, int | float) or not 0 <= error < math.inf:
        raise ValueError("its relative_error is not a finite number of 0 or more")
    if spans_whole is not None and not isinstance(spans_whole, bool):
        raise ValueError("its spans_whole is neither true nor false")
    return getattr(torch, name), float(error), spans_whole


def _value(text: str | None) -> object:
    return None if text is None else parse_json(text.encode())


def _check_factors(
    stored: Mapping[str, TensorInfo],
    grid: Grid,
    rank_map: RankMap,
    ranked: list[tuple[int, int]],
    dtype: torch.dtype,
) -> None:
    """Raise ValueError unless the tensors are just the factors that edges and ranks ask for."""
    needed = {}
    for i, j in ranked:
        rank = int(rank_map[i, j])
        needed[f"B.{i}.{j}"] = (int(grid.row_sizes[i]), rank)
        needed[f"A.{i}.{j}"] = (rank, int(grid.col_sizes[j]))
    left, right = stored.get("B.global"), stored.get("A.global")
    if left is not None and right is not None:
        rank = left.shape[-1] if left.shape else 0
        if rank > min(grid.shape):
            raise ValueError(f"its global term has rank {rank:,}, above full rank")
        needed["B.global"], needed["A.global"] = (grid.shape[0], rank), (rank, grid.shape[1])
    wrong = set(stored) ^ {*needed, "row_edges", "col_edges", "rank_map"}
    if wrong:
        raise ValueError(f"it holds other tensors than its ranks need, as {min(wrong)[:40]!r}")
    spelled = _FACTORS[str(compute_dtype(dtype)).removeprefix("torch.")]
    for name, shape in needed.items():
        if stored[name].shape != shape or stored[name].dtype != spelled:
            raise ValueError(
                f"{name} must be {spelled} of shape {shape}; it is {stored[name].dtype} of shape "
                f"{str(stored[name].shape)[:40]}"
            )


def _pair(file: safe_open, name: str) -> Pair:
    left, right = (file.get_tensor(name.format(side)) for side in "BA")
    if not (torch.isfinite(left).all() and torch.isfinite(right).all()):
        raise ValueError(f"{name.format('B')} or {name.format('A')} holds NaN or infinity")
    return left, right
