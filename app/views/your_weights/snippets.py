"""Lines of `lolora_core` that make the numbers of Your weights again. No streamlit here."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from app.views.your_weights.plan import AdapterPlan
from lolora_core import FAMILIES

__all__ = [
    "accuracies",
    "adapter",
    "blocks_against_lora",
    "command",
    "overlap",
    "pair_curve",
    "structures",
    "survey",
    "update_target",
]

Blocks = tuple[int, int]


def _imports(package: str, *names: str) -> str:
    return f"from {package} import {', '.join(sorted(names))}"


def _program(
    opening: str, names: tuple[str, ...], lines: Sequence[str], more: Sequence[str] = ()
) -> str:
    """Put the imports first, then what makes the pair, then the lines."""
    opened = opening.split("\n")
    if opened[0].startswith("from lolora_core.checkpoints import "):
        names = (*names, opened.pop(0).rpartition(" ")[2])
    return "\n".join([_imports("lolora_core.checkpoints", *names), *more, "", *opened, *lines])


def update_target(opening: str, name: str) -> str:
    """Return the lines that make ΔW of one matrix as `target`.

    Parameters
    ----------
    opening : str
        The lines that make `base` and `tuned`.

    Examples
    --------
    >>> print(update_target("base, tuned = 'a', 'b'", "q.weight"))
    from lolora_core.checkpoints import update_target
    <BLANKLINE>
    base, tuned = 'a', 'b'
    target = update_target(base, tuned, 'q.weight')
    """
    return _program(opening, ("update_target",), [f"target = update_target(base, tuned, {name!r})"])


def _survey_line(rank: int, blocks: Blocks, intruders: int = 0) -> str:
    counted = f", intruders={intruders}" if intruders else ""
    return f"survey(base, tuned, rank={rank}, grids=[{blocks}]{counted}).frame()"


def survey(opening: str, rank: int, blocks: Blocks, intruders: int = 0) -> str:
    """Return the lines that make the table of every matrix as `frame`, and the errors together.

    Examples
    --------
    >>> print(survey("base, tuned = 'a', 'b'", 8, (4, 4)))
    from lolora_core.checkpoints import pooled_errors, survey
    <BLANKLINE>
    base, tuned = 'a', 'b'
    frame = survey(base, tuned, rank=8, grids=[(4, 4)]).frame()
    together = pooled_errors(frame)  # the error over all matrices, by family
    """
    return _program(
        opening,
        ("survey", "pooled_errors"),
        [
            f"frame = {_survey_line(rank, blocks, intruders)}",
            "together = pooled_errors(frame)  # the error over all matrices, by family",
        ],
    )


def structures(opening: str, rank: int, blocks: Blocks) -> str:
    """Return the lines that say which family leads on each matrix."""
    return _program(
        opening,
        ("survey",),
        [
            f"frame = {_survey_line(rank, blocks)}",
            'best = frame[["name", "best_family", "best_error", "error_global"]]',
        ],
    )


def blocks_against_lora(opening: str, rank: int, blocks: Blocks) -> str:
    """Return the lines that say by what factor blocks change the error of LoRA."""
    return _program(
        opening,
        ("survey",),
        [
            f"frame = {_survey_line(rank, blocks)}",
            f'of_blocks = frame.filter(like="_{blocks[0]}x{blocks[1]}").min(axis=1)',
            'ratio = of_blocks / frame["error_global"]',
        ],
    )


def pair_curve(opening: str, blocks: Blocks, family: str) -> str:
    """Return the lines that make the curve of the pair, and the knee of one family."""
    spans = FAMILIES[family].spans_whole
    column = f"error_{family}" + ("" if spans else f"_{blocks[0]}x{blocks[1]}")
    return _program(
        opening,
        ("survey",),
        [
            f"curve = survey(base, tuned, grids=[{blocks}], curve=True).curve()",
            f'at = knee(curve["rank"], curve["{column}"])',
            'rank_at_knee = curve["rank"][at]',
        ],
        more=["from lolora_core.explore.curves import knee"],
    )


def _dtype(plan: AdapterPlan) -> tuple[str, list[str]]:
    """Return what a call says of the dtype, and what must be imported for it."""
    if plan.dtype == "float32":
        return "", []
    return f", dtype=torch.{plan.dtype}", ["import torch"]


def _extract_line(plan: AdapterPlan) -> str:
    spent = {
        "each matrix": f"rank={plan.rank}",
        "shared": f"rank={plan.rank}, shared=True",
        "energy": f"energy={plan.energy}",
    }[plan.spend]
    grid = "" if FAMILIES[plan.family].spans_whole else f", grid={plan.blocks}"
    dtype, _ = _dtype(plan)
    return f"found = extract_adapters(base, tuned, family={plan.family!r}, {spent}{grid}{dtype})"


def adapter(opening: str, plan: AdapterPlan, form: str) -> str:
    """Return the lines that make the adapter of a plan and write it to a folder."""
    dtype, more = _dtype(plan)
    write = {
        "lolora_core": 'found.save("adapter")',
        "PEFT": f'to_peft(found.adapters, "adapter"{dtype})',
        "PEFT, truncated": f'to_peft(found.adapters, "adapter", rank={plan.rank}{dtype})',
    }[form]
    return _program(
        opening,
        ("extract_adapters", *(("to_peft",) if "PEFT" in form else ())),
        [
            _extract_line(plan),
            "errors = found.relative_error, found.whole_relative_error",
            f"written = {write}" if "PEFT" in form else write,
        ],
        more,
    )


def accuracies(opening: str, plan: AdapterPlan, network: str) -> str:
    """Return the lines that measure how many digits base, tuned and base with adapter read."""
    _, more = _dtype(plan)
    return _program(
        opening,
        ("extract_adapters",),
        [
            _extract_line(plan),
            "models = [",
            f"    build_with({network}, {{name: source.read(name) for name in source.tensors}})",
            "    for source in (base, tuned, base)",
            "]",
            "found.adapters.install(models[2])",
            "right = [digit_accuracies(model) for model in models]",
        ],
        [
            *more,
            "from lolora_core.training.tasks.classifying import build_with",
            "from lolora_core.training.tasks.digits import digit_accuracies",
            f"from lolora_core.training.tasks.models import {network}",
        ],
    )


def overlap(first: str, second: str) -> str:
    """Return the lines that compare two adapters.

    Examples
    --------
    >>> print(overlap("a.safetensors", "b.safetensors"))
    from lolora_core.checkpoints import overlap
    <BLANKLINE>
    found = overlap('a.safetensors', 'b.safetensors')  # a folder of PEFT does too
    frame = found.frame()
    """
    return "\n".join(
        [
            "from lolora_core.checkpoints import overlap",
            "",
            f"found = overlap({first!r}, {second!r})  # a folder of PEFT does too",
            "frame = found.frame()",
        ]
    )


def command(base: str, tuned: str, rank: int, blocks: Blocks, intruders: int = 0) -> str:
    """Return the command line that makes the survey of two files, folders or models.

    Examples
    --------
    >>> command("base model", "tuned.safetensors", 16, (8, 4))
    "lolora survey 'base model' tuned.safetensors --rank 16 --grid 8x4 --output survey.csv"
    """
    rows, cols = blocks
    words = ["lolora", "survey", base, tuned, "--rank", str(rank), "--grid", f"{rows}x{cols}"]
    if intruders:
        words += ["--intruders", str(intruders)]
    return shlex.join([*words, "--output", "survey.csv"])
