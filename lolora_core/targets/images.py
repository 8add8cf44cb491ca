"""Photographs that ship inside the scikit-image wheel; nothing is downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from lolora_core.targets.base import Array, Entry, Target

GREY_NOTE = "grey = 0.2125 red + 0.7154 green + 0.0721 blue (skimage.color.rgb2gray)"
CC0 = "CC0 1.0"


@dataclass(frozen=True)
class _Photograph:
    file: str
    entry: Entry


def _photograph(
    file: str,
    title: str,
    description: str,
    origin: str,
    licence: str,
    *,
    name: str = "",
    colour: bool = False,
) -> _Photograph:
    stem = file.partition(".")[0]
    function = name or stem
    source = f"{origin}; scikit-image, skimage.data.{function}"
    url_id = stem.replace("_", "-")
    return _Photograph(file, Entry(url_id, title, "image", description, source, licence, colour))


# Origins and licences are as the docstrings of skimage.data state them (scikit-image 0.26).
_PHOTOGRAPHS = (
    _photograph(
        "camera.png",
        "Camera",
        "A photographer with a tripod on a meadow, 512 × 512",
        "photograph by Lav Varshney",
        f"{CC0} by the photographer",
    ),
    _photograph(
        "astronaut.png",
        "Astronaut",
        "Portrait of the astronaut Eileen Collins, 512 × 512",
        "NASA Great Images database, https://flic.kr/p/r9qvLn",
        "public domain, no known copyright restrictions",
        colour=True,
    ),
    _photograph(
        "brick.png",
        "Brick wall",
        "A small section of a brick wall, 512 × 512: a regular texture",
        "CC0Textures, Bricks25",
        CC0,
    ),
    _photograph(
        "grass.png",
        "Grass",
        "Grass from above, 512 × 512: a fine texture without a direction",
        "DeviantArt, Grass 01 by linolafett",
        CC0,
    ),
    _photograph(
        "gravel.png",
        "Gravel",
        "Gravel from above, 512 × 512: a coarse texture",
        "CC0Textures, Gravel04",
        CC0,
    ),
    _photograph(
        "coins.png",
        "Coins",
        "Greek coins from Pompeii on a grey ground, 303 × 384",
        "Brooklyn Museum Collection, image 51611",
        "no known copyright restrictions",
    ),
    _photograph(
        "chelsea.png",
        "Chelsea the cat",
        "A tabby cat's face, 300 × 451: fur, edges and smooth parts",
        "photograph by Stefan van der Walt",
        f"{CC0} by the photographer",
        colour=True,
    ),
    _photograph(
        "coffee.png",
        "Coffee cup",
        "An espresso cup on a wooden table, 400 × 600",
        "photograph by Rachel Michetti, courtesy of Pikolo Espresso Bar",
        f"{CC0} by the photographer",
        colour=True,
    ),
    _photograph(
        "rocket.jpg",
        "Rocket launch",
        "Launch of DSCOVR on a Falcon 9, 427 × 640: large smooth parts",
        "SpaceX Photos, https://www.flickr.com/photos/spacexphotos/16511594820",
        "public domain, released by SpaceX",
        colour=True,
    ),
    _photograph(
        "hubble_deep_field.jpg",
        "Hubble deep field",
        "Galaxies of the Hubble eXtreme Deep Field, 872 × 1000: sparse bright spots",
        "NASA, HubbleSite release 2012/37",
        "public domain, may be used freely (NASA)",
        colour=True,
    ),
    _photograph(
        "retina.jpg",
        "Retina",
        "Fundus photograph of a left eye, 1411 × 1411: a disc on black",
        "Mikael Häggström, Wikimedia Commons, doi:10.15347/wjm/2014.008",
        CC0,
        colour=True,
    ),
    _photograph(
        "ihc.png",
        "Stained tissue",
        "Colonic glands under immunohistochemical staining, 512 × 512",
        "Center for Microscopy and Molecular Imaging (CMMI)",
        "no known copyright restrictions",
        name="immunohistochemistry",
        colour=True,
    ),
    _photograph(
        "cell.png",
        "Cell",
        "Phase image of one cell floating in saline, 660 × 550: very smooth",
        "Müller et al., Optics Express 26(8), 2018, doi:10.1364/OE.26.010729",
        CC0,
    ),
    _photograph(
        "text.png",
        "Text",
        "Printed words on an uneven ground, 172 × 448",
        "Wikipedia, File:Corner.png",
        "public domain, no known copyright restrictions",
    ),
)
_BY_ID = {photograph.entry.id: photograph for photograph in _PHOTOGRAPHS}

ENTRIES: tuple[Entry, ...] = tuple(photograph.entry for photograph in _PHOTOGRAPHS)


def to_grey(rgb: Array) -> Array:
    """Return Y = 0.2125 R + 0.7154 G + 0.0721 B of an (m, n, 3) array in [0, 1].

    Source: ITU-R BT.709 luma as in `skimage.color.rgb2gray`.

    Examples
    --------
    >>> to_grey(np.ones((1, 2, 3))).round(12).tolist()
    [[1.0, 1.0]]
    """
    from skimage.color import rgb2gray  # slow to load

    grey: Array = rgb2gray(rgb)
    return grey


def load(url_id: str, *, colour: bool) -> Target:
    """Read one photograph as float64 in [0, 1], grey or in colour.

    Raises
    ------
    FileNotFoundError
        If the installed scikit-image does not ship the file.

    Examples
    --------
    >>> load("camera", colour=False).shape
    (512, 512)
    """
    photograph = _BY_ID[url_id]
    entry = photograph.entry
    with Image.open(_data_folder() / photograph.file) as image:
        array: Array = np.asarray(image) / 255.0
    notes = ["8-bit values divided by 255"]
    if entry.has_colour and not colour:
        array = to_grey(array)
        notes.append(GREY_NOTE)
    return Target(
        id=entry.id,
        title=entry.title,
        kind="image",
        description=entry.description,
        source=f"{entry.source}, version {version('scikit-image')}",
        licence=entry.licence,
        array=array,
        value_range=(0.0, 1.0),
        notes=tuple(notes),
    )


def _data_folder() -> Path:
    # Not skimage.data.camera() and its like: they may download a file that is not there.
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("scikit-image is not installed; its photographs are needed.")
    return Path(spec.origin).parent / "data"
