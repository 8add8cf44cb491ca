"""The example of Start, and what two families make of it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from skimage.transform import downscale_local_mean

from app.shared.scene import Scene, bundled_target, decompositions
from lolora_core import Grid
from lolora_core.explore.compare import Comparison, compare
from lolora_core.families import REFERENCE
from lolora_core.families.localized import Localized
from lolora_core.targets import Target

__all__ = ["SHOWN", "compared", "example"]

#: The two structures of the question.
SHOWN = (REFERENCE.name, Localized.name)
_BLOCKS = 4


@cache
def _halved() -> Target:
    """Return the photograph at half its size: quick to send, and still a picture."""
    whole = bundled_target("camera", False, ())
    code = (
        "from skimage.transform import downscale_local_mean\n\n"
        "from lolora_core.targets import load\n\n"
        'target = downscale_local_mean(load("camera").array, (2, 2))'
    )
    return replace(whole, array=downscale_local_mean(whole.array, (2, 2)), code=code)


def example() -> Scene:
    """Return what the page looks at, the same for every visitor."""
    target = _halved()
    return Scene(target, Grid.regular(target.shape, _BLOCKS), "cpu")


def compared(scene: Scene, rank: int) -> Comparison:
    """Compare the structures of the question at one budget."""
    return compare(decompositions(scene), rank, SHOWN)
