"""The lines of Python with which those of several pages begin."""

from __future__ import annotations

from app.shared.scene import Scene

__all__ = ["channels"]

_NO_LINES = """import numpy as np

w = np.load("target.npy")  # “Target, NPY” under Download in Compare"""


def channels(scene: Scene, *imports: str) -> str:
    """Return the lines that load and decompose a target: `channels`.

    Of a target that no lines make, they read the file that Compare offers.

    Examples
    --------
    >>> from lolora_core import Grid
    >>> from lolora_core.targets import load
    >>> print(channels(Scene(load("coins"), Grid.regular((303, 384), 4), "cpu")))
    from lolora_core import decompose
    from lolora_core import load
    <BLANKLINE>
    target = load('coins')
    channels = [decompose(w, grid=(4, 4)) for w in target.channels]
    """
    matrices = "target.channels" if scene.target.code else "[w]"
    return "\n".join(
        [
            "from lolora_core import decompose",
            *imports,
            scene.target.code or _NO_LINES,
            f"channels = [decompose(w, grid={scene.grid.blocks}) for w in {matrices}]",
        ]
    )
