"""The lines of Python that make the numbers of Compare again."""

from __future__ import annotations

from collections.abc import Sequence

from app.shared.scene import Scene
from app.shared.snippets import channels

__all__ = ["block", "curve", "pictures", "rank_map", "table"]


def _compared(scene: Scene, rank: int, *imports: str) -> str:
    start = channels(scene, "from lolora_core.explore.compare import compare", *imports)
    families = f", {list(scene.families)}" if scene.searched else ""
    return f"{start}\nfound = compare(channels, {rank}{families})\n"


def pictures(scene: Scene, rank: int) -> str:
    """Return the lines of the pictures: `residuals` by family.

    Examples
    --------
    >>> from lolora_core import Grid
    >>> from lolora_core.targets import load
    >>> print(pictures(Scene(load("camera"), Grid.regular((512, 512), 8), "cpu"), 32))
    from lolora_core import decompose
    from lolora_core.explore.compare import compare
    from lolora_core import load
    <BLANKLINE>
    target = load('camera')
    channels = [decompose(w, grid=(8, 8)) for w in target.channels]
    found = compare(channels, 32)
    residuals = {
        name: target.array - result.dense().numpy() for name, result in found.results.items()
    }
    """
    array = "target.array" if scene.target.code else "w"
    return (
        f"{_compared(scene, rank)}residuals = {{\n"
        f"    name: {array} - result.dense().numpy() for name, result in found.results.items()\n}}"
    )


def table(scene: Scene, rank: int) -> str:
    """Return the lines of the table: `rows`, one for each family."""
    array = "target.array" if scene.target.code else "w"
    span = "1.0" if scene.target.value_range else f"metrics.value_span({array})"
    return (
        f"{_compared(scene, rank, 'from lolora_core.common import metrics')}"
        f"span = {span}\n"
        "rows = []\n"
        "for name, result in found.results.items():\n"
        "    dense = result.dense().numpy()\n"
        "    rows.append({\n"
        '        "family": name,\n'
        '        "parameters": result.num_parameters,\n'
        '        "relative error": result.relative_error,\n'
        f'        "PSNR": metrics.psnr({array}, dense, span),\n'
        f'        "SSIM": metrics.ssim({array}, dense, span),\n'
        '        "rank of Ŵ": result.reconstruction_rank(),\n'
        "    })"
    )


def curve(scene: Scene, families: Sequence[str], ranks: Sequence[int]) -> str:
    """Return the lines of the curves: `errors` by family, at the equivalent ranks drawn."""
    step = ranks[1] - ranks[0] if len(ranks) > 1 else 1
    start = channels(scene, "from lolora_core.explore.compare import errors_at_ranks")
    return (
        f"{start}\nranks = [*range(0, {ranks[-1]}, {step}), {ranks[-1]}]\n"
        "errors = {\n"
        "    name: errors_at_ranks(channels, name, ranks)\n"
        f"    for name in {list(families)}\n}}"
    )


def block(scene: Scene, at: tuple[int, int]) -> str:
    """Return the lines of a block: its `values`, the mean over the channels as root of squares."""
    return (
        f"{channels(scene, 'import numpy as np')}\n"
        f"spectra = [c.on(c.grid).spectra.values[{at[0]}, {at[1]}] for c in channels]\n"
        "values = np.sqrt(np.mean(np.square(spectra), axis=0))"
    )


def rank_map(scene: Scene, family: str, rank: int, channel: int) -> str:
    """Return the lines of the map of ranks: `ranks`."""
    budget = rank * sum(scene.grid.shape)
    return (
        f"{channels(scene)}\n"
        f'found = channels[{channel}].approximate("{family}", budget={budget})\n'
        "ranks = found.rank_map"
    )
