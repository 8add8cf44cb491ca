"""The digits: 8 × 8 images of scikit-learn, split once and turned for the second domain."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

SIDE = 8
CLASSES = 10


class Split(NamedTuple):
    """Images (n, 64) in [0, 1] as float32 with labels (n,), for training and for testing."""

    train_images: npt.NDArray[np.float32]
    train_labels: npt.NDArray[np.int64]
    test_images: npt.NDArray[np.float32]
    test_labels: npt.NDArray[np.int64]


def rotate(images: npt.NDArray[np.float32], quarter_turns: int) -> npt.NDArray[np.float32]:
    """Turn each flattened 8 × 8 image counter-clockwise by 90° steps; no pixel is interpolated.

    Parameters
    ----------
    images : ndarray of shape (n, 64)
    quarter_turns : int
        How many times 90°; 0 returns the images as they are, negative turns clockwise.

    Returns
    -------
    ndarray of shape (n, 64)

    Raises
    ------
    ValueError
        If `images` is not (n, 64).

    Examples
    --------
    >>> top_left = np.eye(1, 64, dtype=np.float32)
    >>> int(rotate(top_left, 1).argmax())  # now bottom left: row 7, column 0
    56
    """
    if images.ndim != 2 or images.shape[1] != SIDE * SIDE:
        raise ValueError(f"images must have shape (n, {SIDE * SIDE}), but it is {images.shape}.")
    turned = np.rot90(images.reshape(-1, SIDE, SIDE), quarter_turns, axes=(1, 2))
    return np.ascontiguousarray(turned).reshape(-1, SIDE * SIDE)


def digits(*, quarter_turns: int = 0, test_share: float = 0.25, seed: int = 0) -> Split:
    """Load scikit-learn's 1,797 handwritten digits, scaled from 0…16 to [0, 1], and split them.

    The same `seed` puts the same images into the test part whatever `quarter_turns` is, so that
    a network tested on the turned domain has not been trained on the same digit upright.

    Parameters
    ----------
    quarter_turns : int
        Counter-clockwise turns by 90°.
    test_share : float
        Share of the images held out, between 0 and 1, both excluded.
    seed : int
        Seed of the shuffle before the split.

    Raises
    ------
    ValueError
        If `test_share` leaves one part empty.
    ModuleNotFoundError
        If scikit-learn is not installed; it is needed for its data only.

    Notes
    -----
    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine
    Learning Repository, 1998 (its test part).

    Examples
    --------
    >>> split = digits()
    >>> split.train_images.shape, split.test_images.shape
    ((1348, 64), (449, 64))
    """
    from sklearn.datasets import load_digits

    if not 0 < test_share < 1:
        raise ValueError(f"test_share must lie between 0 and 1, but it is {test_share}.")
    bunch = load_digits()
    images = rotate((bunch.data / 16).astype(np.float32), quarter_turns)
    labels = bunch.target.astype(np.int64)
    order = np.random.default_rng(seed).permutation(len(images))
    held_out = int(len(images) * test_share)
    if held_out == 0:
        raise ValueError(f"test_share must leave at least one test image, but it is {test_share}.")
    test, train = order[:held_out], order[held_out:]
    return Split(images[train], labels[train], images[test], labels[test])
