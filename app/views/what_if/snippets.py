"""Lines of Python that make the numbers of What if again. No streamlit here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lolora_core import Grid
from lolora_core.families import REFERENCE
from lolora_core.targets import Target

__all__ = [
    "advice",
    "best_curves",
    "painted",
    "rectangles",
    "reordered",
    "winners",
]


def _grid(grid: Grid) -> str:
    rows, cols = grid.blocks
    return str(rows if rows == cols else (rows, cols))


def _cuts(grids: Sequence[Grid]) -> str:
    return f"[{', '.join(map(_grid, grids))}]"


def _joined(target: Target, imports: Mapping[str, str], lines: Sequence[str]) -> str:
    """Write the lines under those that make the target; nothing where none make it."""
    if not target.code:
        return ""
    head, made = target.code.rsplit("\n\n", 1)
    names: dict[str, list[str]] = {}
    for line in filter(None, head.splitlines()):
        _, module, _, *found = line.replace(",", "").split()
        names.setdefault(module, []).extend(found)
    for module, more in imports.items():
        names.setdefault(module, []).extend(more.split())
    top = [f"from {module} import {', '.join(sorted(held))}" for module, held in names.items()]
    return "\n".join([*top, "", made, *lines])


def _swept(target: Target, cuts: str) -> tuple[dict[str, str], list[str]]:
    """Return imports and lines that make the sweep `found`."""
    if len(target.channels) == 1:
        return {"lolora_core": "sweep"}, [f"found = sweep(target.array, grids={cuts})"]
    # The channels stay on one scale, so that their energies add up.
    return (
        {
            "functools": "partial",
            "torch": "tensor",
            "lolora_core.blocks.gram": "gram_spectra",
            "lolora_core.explore.sweep": "pool sweep_spectra",
        },
        [
            f"grids = {cuts}",
            "found = pool([",
            "    sweep_spectra(target.shape, partial(gram_spectra, tensor(channel)), grids)",
            "    for channel in target.channels",
            "])",
        ],
    )


def winners(target: Target, grids: Sequence[Grid]) -> str:
    """Return the lines that make the winner map.

    Examples
    --------
    >>> from lolora_core import load
    >>> print(winners(load("camera"), [Grid.regular((512, 512), k) for k in (1, 8)]))
    from lolora_core import load, sweep
    <BLANKLINE>
    target = load('camera')
    found = sweep(target.array, grids=[1, 8])
    print(found.winners())
    """
    imports, lines = _swept(target, _cuts(grids))
    return _joined(target, imports, [*lines, "print(found.winners())"])


def best_curves(target: Target, grids: Sequence[Grid]) -> str:
    """Return the lines that make the best curve of each family, and the Pareto front."""
    imports, lines = _swept(target, _cuts(grids))
    return _joined(
        target,
        imports,
        [
            *lines,
            "rows = found.frame()",
            "# On one block every family is global.",
            f'rows = rows[(rows.family == "{REFERENCE.name}") | '
            "(rows.grid_rows * rows.grid_cols > 1)]",
            'best = rows.loc[rows.groupby(["family", "budget"]).relative_error.idxmin()]',
            "print(best, found.pareto())",
        ],
    )


def rectangles(
    target: Target, rows: Sequence[int], cols: Sequence[int], family: str, budget: int
) -> str:
    """Return the lines that make the errors over block rows × block columns."""
    imports, lines = _swept(target, "list(product(rows, cols))")
    return _joined(
        target,
        {"itertools": "product", **imports},
        [
            f"rows, cols = {list(rows)}, {list(cols)}",
            *lines,
            "for grid in product(rows, cols):",
            f'    if ("{family}", grid) in found.curves:',
            f'        print(found.row("{family}", grid, {budget}))',
        ],
    )


def advice(target: Target, grids: Sequence[Grid], aim: str, value: float) -> str:
    """Return the lines that make the advice and the table of other tools."""
    if len(target.channels) > 1:
        return ""
    return _joined(
        target,
        {"lolora_core": "advise"},
        [
            f"advice = advise(target.array, {aim}={value!r}, grids={_cuts(grids)})",
            "print(advice, advice.peft, advice.other_tools)",
        ],
    )


def painted(target: Target, grid: Grid, ranks: Sequence[Sequence[int]]) -> str:
    """Return the lines that make a painted map's picture, parameters and error."""
    rows = ",\n    ".join(map(str, ranks))
    return _joined(
        target,
        {"lolora_core": "approximate"},
        [
            f"ranks = [\n    {rows},\n]",
            f"own = approximate(target.array, grid={_grid(grid)}, rank_map=ranks)",
            "print(own.num_parameters, own.relative_error)",
            "picture = own.dense()",
        ],
    )


def reordered(target: Target, grid: Grid, family: str, budget: int) -> str:
    """Return the lines that make the order of rows and columns, and what each block keeps."""
    cut = _grid(grid)
    return _joined(
        target,
        {"lolora_core": "decompose reorder"},
        [
            f'found = reorder(target.array, budget={budget}, grid={cut}, family="{family}")',
            "print(found)",
            "for matrix in (target.array, found.apply(target.array)):",
            f"    svd = decompose(matrix, grid={cut})",
            "    spectra = svd.on(svd.grid).spectra",
            f'    print(spectra.shares, spectra.kept(svd.rank_map("{family}", {budget})))',
        ],
    )
