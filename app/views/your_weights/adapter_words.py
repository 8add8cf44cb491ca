"""Sentences of Your weights about the adapter that is taken along. No streamlit here."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd

from app.shared.words import format_error, percent, three_digits

if TYPE_CHECKING:
    from lolora_core.checkpoints import PeftChoice

__all__ = [
    "HOW_MEASURED",
    "HOW_READ",
    "MODELS",
    "TURNED",
    "UPRIGHT",
    "accuracy",
    "adapted",
    "adapter",
    "file_size",
    "holds",
    "loader",
    "packed",
    "readme",
]


HOW_MEASURED = (
    "√(Σ‖ΔW − ΔŴ‖²/Σ‖ΔW‖²), measured on what the file holds. Over the whole tuned model biases, "
    "norms and embeddings count too; without an adapter they keep the values of the base, which "
    "is an error of 1."
)


MODELS = (
    "Base: before the fine-tune. Tuned: after it. Base + adapter: the base with what the file "
    "above adds, so biases and norms are still the old ones."
)
UPRIGHT = "What the base had learnt. Share of 449 test digits that are read rightly."
TURNED = "What the fine-tune was for: the same 449 digits, turned by 90°. Share read rightly."
HOW_READ = (
    "Measured now, on 449 digits that no training saw. The adapter is read back from the file that "
    "you download."
)


def file_size(count: int) -> str:
    """Return a number of bytes in the unit that suits it, 1 kB = 1,000 bytes.

    Examples
    --------
    >>> file_size(614328), file_size(999), file_size(2_500_000_000)
    ('614 kB', '999 bytes', '2.50 GB')
    """
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{three_digits(count / size)} {unit}"
    return f"{count} bytes"


_LOADERS = {
    "PEFT": (
        "from peft import PeftModel",
        "model = BASE  # your model with the weights of the base",
        'model = PeftModel.from_pretrained(model, "{folder}")',
    ),
    "lolora_core": (
        "from lolora_core.adapters import load_adapters",
        "model = BASE  # your model with the weights of the base",
        'model = load_adapters(model, "{folder}")',
    ),
}


def loader(folder: str, form: str) -> str:
    """Return the three lines that load an adapter."""
    lines = _LOADERS["lolora_core" if form == "lolora_core" else "PEFT"]
    return "\n".join(line.format(folder=folder) for line in lines)


def readme(
    folder: str,
    form: str,
    *,
    base: str,
    tuned: str,
    family: str,
    modules: int,
    error: float,
    summary: str,
) -> str:
    """Return the README of an archive: what it is and the three lines that load it.

    Parameters
    ----------
    folder : str
        Name of the folder in the archive.
    form : str
        "PEFT", "PEFT, truncated" or "lolora_core".
    base, tuned, family : str
    modules : int
        Number of adapted modules.
    error : float
        Of the adapter against ΔW, over all its modules.
    summary : str
        What PEFT gets; empty in the format of lolora_core.
    """
    stored = f"\n- In PEFT: {summary}." if summary else ""
    return f"""# {folder}

Load it from the folder that holds this one:

```python
{loader(folder, form)}
```

- Made from: base `{base}`, tuned `{tuned}`; ΔW = tuned − base.
- Structure: {family}, on {modules} matrices.
- Relative error against ΔW, over these matrices: {format_error(error)}.{stored}
- What the adapter leaves out (biases, norms, embeddings) keeps the values of the base.

Made with Localized LoRA Explorer.
"""


def holds(choice: PeftChoice) -> str:
    """Say what a PEFT file holds, with no word on size or error.

    Examples
    --------
    >>> import torch
    >>> from lolora_core.checkpoints import peft_choices, resize_adapters
    >>> found = resize_adapters({"fc.weight": torch.eye(8)}, family="localized", grid=2, rank=4)
    >>> [holds(choice) for choice in peft_choices(found.adapters, rank=2)]
    ['GraLoRA of r 4, K 2, exact', 'LoRA of rank 4, exact', 'LoRA of rank 2, truncated']
    """
    return f"{choice.structure}, {'exact' if choice.exact else 'truncated'}"


def adapter(
    family: str,
    form: str,
    counts: tuple[int, int],
    errors: tuple[float, float],
    parameters: tuple[int, int],
    sizes: tuple[int, int | None],
) -> str:
    """Say what the file of an adapter keeps and what it saves.

    Parameters
    ----------
    family, form : str
    counts : (int, int)
        Matrices with an adapter, and all that changed.
    errors : (float, float)
        Measured of what the file holds: over the adapted matrices, and over the whole tuned model;
        the latter NaN where it is not known.
    parameters : (int, int)
        Of the family, and numbers in the file.
    sizes : (int, int or None)
        Bytes of the file that is downloaded and of the file of tuned.

    Examples
    --------
    >>> adapter("global", "PEFT", (3, 3), (0.125, 0.125), (1000, 1000), (4000, 40000))
    'As **global** on 3 of 3 changed matrices: error 0.125, 1,000 parameters; for “PEFT” a zip of \
4.00 kB in place of 40.0 kB for the tuned file, 10.0 % of it.'
    >>> adapter("adaptive", "PEFT", (2, 3), (0.125, 0.5), (1000, 1600), (6400, 4000))
    'As **adaptive** on 2 of 3 changed matrices: error 0.125 on these and 0.500 over the whole \
tuned model, 1,000 parameters; for “PEFT” a zip of 6.40 kB that holds 1,600, more than the \
4.00 kB of the tuned file.'
    """
    size, whole = sizes
    used, stored = parameters
    both = ""
    if math.isnan(errors[1]):
        both = " on these; over the whole tuned model it is not known, for a tensor is not finite"
    elif format_error(errors[0]) != format_error(errors[1]):
        both = f" on these and {format_error(errors[1])} over the whole tuned model"
    holds_them = "" if used == stored else f" that holds {stored:,},"
    text = (
        f"As **{family}** on {counts[0]} of {counts[1]} changed matrices: error "
        f"{format_error(errors[0])}{both}, {used:,} parameters; for “{form}” a zip of "
        f"{file_size(size)}{holds_them}"
    )
    if whole is None:
        return f"{text.rstrip(',')}."
    if size > whole:
        return f"{text.rstrip(',')}, more than the {file_size(whole)} of the tuned file."
    return (
        f"{text} in place of {file_size(whole)} for the tuned file, {percent(size / whole)} of it."
    )


def accuracy(found: pd.DataFrame) -> str:
    """Say how many digits base, tuned, and the base with an adapter read.

    Parameters
    ----------
    found : DataFrame
        Columns upright and rotated; rows base, tuned, and base with the adapter.

    Examples
    --------
    >>> accuracy(pd.DataFrame({"upright": [0.97, 0.3, 0.5], "rotated": [0.16, 0.95, 0.9]}))
    'The base reads 16.0 % of turned digits, the tuned model 95.0 %. **The base with this adapter \
reads 90.0 %.** Of upright digits, which fine-tuning forgets, it still reads 50.0 %; the tuned \
model 30.0 %, the base 97.0 %.'
    """
    (up_base, up_tuned, up), (base, tuned, adapted) = (
        [percent(float(share)) for share in found[domain]] for domain in ("upright", "rotated")
    )
    return (
        f"The base reads {base} of turned digits, the tuned model {tuned}. **The base with this "
        f"adapter reads {adapted}.** Of upright digits, which fine-tuning forgets, it still reads "
        f"{up}; the tuned model {up_tuned}, the base {up_base}."
    )


def adapted(count: int) -> str:
    """Say what the list of matrices of an adapter holds.

    Examples
    --------
    >>> adapted(1), adapted(14)
    ('The adapted matrix, and what is left out', 'The 14 adapted matrices, and what is left out')
    """
    what = "adapted matrix" if count == 1 else f"{count} adapted matrices"
    return f"The {what}, and what is left out"


def packed(share: float) -> str:
    """Say what the zip holds and which share of the entries its adapter changes."""
    return (
        "The zip holds one folder, and its README has these lines. Before it was packed it was "
        f"read again and every ΔW compared. The adapter reaches {percent(share)} of the entries of "
        "the matrices; biases, norms and embeddings stay as they are in the base."
    )
