"""How the weight of a module is stored: which axis is which, and what kind of module it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

__all__ = ["LINEAR", "Stored", "StoredKind"]

#: "conv1d" is transformers' Conv1D, a linear layer stored [in, out]; "conv" is a convolution.
StoredKind = Literal["linear", "conv1d", "embedding", "conv", "unclear"]

_WORDS = {
    "linear": "an nn.Linear",
    "conv1d": "a Conv1D, which stores [in, out]",
    "embedding": "an embedding",
    "conv": "a convolution",
    "unclear": "a layer whose kind is unclear",
}


class Stored(NamedTuple):
    """The kind of a module, which says what the axes of its weight are.

    =========== ============================ ==============================
    kind        weight                       the matrix that is looked at
    =========== ============================ ==============================
    linear      (out, in)                    the same
    conv1d      (in, out)                    the same
    embedding   (tokens, features)           the same
    conv        (out, in, k_h, k_w), any     (out, in·k_h·k_w)
                number of kernel axes
    unclear     any                          (rows, everything else)
    =========== ============================ ==============================

    Attributes
    ----------
    kind : {"linear", "conv1d", "embedding", "conv", "unclear"}
    kernel : tuple of int
        Sizes of the kernel of a convolution; empty for the others.
    doubt : str
        What is unclear, and what would settle it.

    Examples
    --------
    >>> Stored("conv", (3, 3)).words, LINEAR.is_transposed
    ('a convolution', False)
    """

    kind: StoredKind
    kernel: tuple[int, ...] = ()
    doubt: str = ""

    @property
    def words(self) -> str:
        """The kind with its article."""
        return _WORDS[self.kind]

    @property
    def is_transposed(self) -> bool:
        """Whether rows are inputs: ΔW is then (B·A)ᵀ of PEFT's factors."""
        return self.kind in ("conv1d", "embedding")

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"kind": self.kind, "kernel": list(self.kernel), "doubt": self.doubt}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Stored:
        """Build from what `to_json` returned, or raise ValueError."""
        kind, kernel = values["kind"], tuple(values["kernel"])
        if kind not in get_args(StoredKind) or not all(type(k) is int and k > 0 for k in kernel):
            raise ValueError(f"{kind!r} with kernel {kernel} is no kind of module")
        return cls(kind, kernel, str(values["doubt"]))


LINEAR = Stored("linear")
