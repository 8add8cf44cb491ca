"""The lines of Python that make the numbers of a lesson again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.shared.scene import Scene
from app.shared.snippets import channels

__all__ = ["compared", "curve", "grids", "race", "ranks", "spectrum", "updates"]


def compared(scene: Scene, rank: int) -> str:
    """Return the lines of pictures and table: `found`, with every family's error and ranks.

    Examples
    --------
    >>> from lolora_core import Grid
    >>> from lolora_core.targets import load
    >>> print(compared(Scene(load("coins"), Grid.regular((303, 384), 4), "cpu"), 8))
    from lolora_core import decompose
    from lolora_core.explore.compare import compare
    from lolora_core import load
    <BLANKLINE>
    target = load('coins')
    channels = [decompose(w, grid=(4, 4)) for w in target.channels]
    found = compare(channels, 8)
    errors = {name: result.relative_error for name, result in found.results.items()}
    """
    return (
        f"{channels(scene, 'from lolora_core.explore.compare import compare')}\n"
        f"found = compare(channels, {rank})\n"
        "errors = {name: result.relative_error for name, result in found.results.items()}"
    )


def curve(scene: Scene, families: Sequence[str], ranks: Sequence[int]) -> str:
    """Return the lines of the curve: `errors` by family, at equivalent ranks."""
    return (
        f"{channels(scene, 'from lolora_core.explore.compare import errors_at_ranks')}\n"
        f"ranks = range({ranks[0]}, {ranks[-1] + 1}, {ranks[1] - ranks[0]})\n"
        f"errors = {{n: errors_at_ranks(channels, n, ranks) for n in {list(families)}}}"
    )


def grids(scene: Scene, rank: int, sides: Sequence[int], families: Sequence[str]) -> str:
    """Return the lines of error against blocks: `errors` by family."""
    return (
        f"{channels(scene, 'from lolora_core.explore.compare import errors_at_ranks')}\n"
        f"cut = {{k: [c.regrid(k) for c in channels] for k in {list(sides)}}}\n"
        "errors = {\n"
        f"    name: [float(errors_at_ranks(cut[k], name, [{rank}])[0]) for k in cut]\n"
        f"    for name in {list(families)}\n}}"
    )


def ranks(scene: Scene, rank: int, family: str) -> str:
    """Return the lines of the map: `ranks`, of every channel."""
    return f'{compared(scene, rank)}\nranks = found.results["{family}"].rank_maps'


def spectrum(scene: Scene, noise: bool) -> str:
    """Return the lines of the spectrum: `values`, and `noise` where that is drawn."""
    lines = (
        f"{channels(scene)}\nvalues = channels[0].on(channels[0].grid.whole()).spectra.values[0, 0]"
    )
    if not noise:
        return lines
    return (
        "from lolora_core.explore.marchenko_pastur import noise_singular_values\n"
        f"{lines}\nnoise = noise_singular_values(*target.shape)"
    )


def race(state: Mapping[str, Any], methods: Sequence[str]) -> str:
    """Return the lines of a race: `losses` by method, at the end."""
    rates = {method: state[f"ft_lr.{method}"] for method in methods}
    return (
        "from lolora_core.training import Method, fine_tune\n\n"
        "losses = {}\n"
        f"for name, rate in {rates}.items():\n"
        f'    run = fine_tune("{state["ft_task"]}", Method(name, rank={state["ft_rank"]}, '
        f"grid={state['ft_grid']}),\n"
        f"                    steps={state['ft_steps']}, lr=rate, seed={state['ft_seed']}, "
        'device="cpu")\n'
        "    losses[name] = list(run)[-1].eval_loss"
    )


def updates(state: Mapping[str, Any]) -> str:
    """Return the lines of the table of updates: `found`, a comparison for every matrix."""
    return (
        "from lolora_core import decompose\n"
        "from lolora_core.explore.compare import compare\n"
        "from lolora_core.training import fine_tune\n\n"
        f'run = fine_tune("{state["ft_task"]}", "full", steps={state["ft_steps"]}, '
        f'lr={state["ft_lr.full"]}, seed={state["ft_seed"]}, device="cpu")\n'
        "list(run)\n"
        "found = {\n"
        f"    name: compare([decompose(delta, grid={state['ft_grid']})], {state['ft_rank']})\n"
        "    for name, delta in run.deltas().items()\n}"
    )
