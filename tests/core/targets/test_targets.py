"""The catalogue: every target loads, says where it is from, and is what it claims to be."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import skimage.data

from lolora_core.targets import Cut, Entry, Parameter, Target, catalogue, entry, load

ENTRIES = {found.id: found for found in catalogue()}
PATTERNS = [found for found in catalogue() if found.kind == "pattern"]
COLOURED = [found.id for found in catalogue() if found.has_colour]


def blocks(array: np.ndarray, cut: Cut) -> list[list[np.ndarray]]:
    """Cut a matrix as a grid does."""
    return [np.array_split(part, cut.cols, axis=1) for part in np.array_split(array, cut.rows)]


def error_at_rank(array: np.ndarray, rank: int) -> float:
    """Relative Frobenius error of the best approximation of that rank."""
    values = np.linalg.svd(array.astype(np.float64), compute_uv=False)
    return float(np.linalg.norm(values[rank:]) / np.linalg.norm(values))


def test_the_catalogue_has_what_was_promised() -> None:
    kinds = [found.kind for found in catalogue()]
    assert kinds.count("image") >= 8
    assert kinds.count("pattern") == 10
    assert kinds.count("weights") >= 10
    assert kinds.count("update") >= 8
    assert len(ENTRIES) == len(kinds), "two entries share an id"
    assert len({found.title for found in catalogue()}) == len(kinds), "two entries share a title"


def test_listing_the_catalogue_imports_nothing_heavy() -> None:
    program = (
        "import sys, lolora_core.targets as t; assert t.catalogue();"
        "print(sorted({'streamlit', 'sklearn', 'scipy', 'skimage'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("found", catalogue(), ids=lambda found: found.id)
def test_every_entry_loads_and_is_described(found: Entry) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", found.id)
    assert 0 < len(found.title) <= 40
    for text in (found.description, found.source, found.licence):
        assert text.strip()
        assert "\n" not in text
    target = load(found.id)
    assert (target.id, target.title, target.kind) == (found.id, found.title, found.kind)
    assert target.array.dtype in (np.float32, np.float64)
    assert target.array.ndim == 2
    assert target.shape == target.array.shape
    assert min(target.shape) >= 32
    assert np.isfinite(target.array).all()
    assert target.array.any()
    assert target.channels[0] is target.array
    assert target.description
    assert target.source
    assert target.licence
    with pytest.raises(ValueError, match="read-only"):
        target.array[0, 0] = 1
    for cut in target.cuts:
        assert 1 <= cut.rows <= target.shape[0]
        assert 1 <= cut.cols <= target.shape[1]
        assert (cut.rows, cut.cols) != (1, 1)
        assert cut.name
        assert cut.description
    again = load(found.id)
    assert again.sha256 == target.sha256
    assert np.array_equal(again.array, target.array)


def test_the_shape_stated_in_a_description_is_the_shape() -> None:
    checked = 0
    for found in catalogue():
        stated = re.search(r"(\d+) × (\d+)", found.description)
        if stated:
            assert load(found.id).shape == (int(stated[1]), int(stated[2])), found.id
            checked += 1
    assert checked >= 35


@pytest.mark.parametrize("found", [f for f in catalogue() if f.kind == "image"], ids=lambda f: f.id)
def test_images_are_those_of_scikit_image(found: Entry) -> None:
    function = re.search(r"skimage\.data\.(\w+)", found.source)
    assert function is not None
    original = getattr(skimage.data, function[1])()
    target = load(found.id)
    assert found.has_colour == (original.ndim == 3)
    assert target.value_range == (0.0, 1.0)
    expected = original / 255.0
    if found.has_colour:
        assert np.array_equal(load(found.id, colour=True).array, expected)
        expected = expected @ np.array([0.2125, 0.7154, 0.0721])
    np.testing.assert_allclose(target.array, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("url_id", COLOURED)
def test_colour_gives_three_channels(url_id: str) -> None:
    target = load(url_id, colour=True)
    assert target.array.shape == (*target.shape, 3)
    assert len(target.channels) == 3
    for index, channel in enumerate(target.channels):
        assert channel.flags.c_contiguous
        assert not channel.flags.writeable
        assert np.array_equal(channel, target.array[:, :, index])
    assert target.sha256 != load(url_id).sha256


def test_colour_is_refused_where_there_is_none() -> None:
    with pytest.raises(ValueError, match="colour must be False for camera"):
        load("camera", colour=True)


@pytest.mark.parametrize(
    ("url_id", "expected"), [("camera", 0.0804), ("astronaut", 0.1106), ("brick", 0.0552)]
)
def test_known_figures_of_images(url_id: str, expected: float) -> None:
    assert round(error_at_rank(load(url_id).array, 32), 4) == expected


def test_unknown_ids_name_near_ones() -> None:
    with pytest.raises(ValueError, match=r"no target 'minilm-0-qery'; did you mean minilm-0-query"):
        entry("minilm-0-qery")
    with pytest.raises(ValueError, match=r"no target 'zzzzzz'; catalogue\(\) lists"):
        load("zzzzzz")


def test_images_and_weights_take_no_parameters() -> None:
    with pytest.raises(ValueError, match="camera takes no parameters, but size is given"):
        load("camera", size=64)


@pytest.mark.parametrize("found", PATTERNS, ids=lambda found: found.id)
def test_pattern_parameters_are_bounded_and_change_the_pattern(found: Entry) -> None:
    names = [parameter.name for parameter in found.parameters]
    assert {"size", "seed"} <= set(names)
    for parameter in found.parameters:
        assert parameter.minimum <= parameter.default <= parameter.maximum
        assert parameter.label
        assert parameter.help

        def load_with(value: Any, name: str = parameter.name) -> Target:
            return load(found.id, **{name: value})

        for value in (parameter.minimum - 1, parameter.maximum + 1):
            with pytest.raises(ValueError, match=rf"^{parameter.name} must lie between"):
                load_with(value)
        for wrong in ("8", None, True):
            with pytest.raises(TypeError, match=f"^{parameter.name} must be"):
                load_with(wrong)
        if isinstance(parameter.default, int):
            with pytest.raises(TypeError, match="must be an integer"):
                load_with(parameter.default + 0.5)
        else:
            with pytest.raises(ValueError, match="must lie between"):
                load_with(float("nan"))
        usual = load(found.id, noise=0.1) if "noise" in names else load(found.id)
        moved: dict[str, Any] = {"noise": 0.1} if "noise" in names else {}
        moved[parameter.name] = parameter.default + parameter.step
        assert load(found.id, **moved).sha256 != usual.sha256, parameter.name
    with pytest.raises(ValueError, match="has no parameter 'colour_depth'; it has size"):
        load(found.id, colour_depth=3)


@pytest.mark.parametrize("found", PATTERNS, ids=lambda found: found.id)
@pytest.mark.parametrize("size", [32, 1024])
def test_patterns_are_of_order_one_at_every_size(found: Entry, size: int) -> None:
    small: dict[str, Any] = {"size": size}
    if "rank" in {parameter.name for parameter in found.parameters}:
        small["rank"] = 2
    target = load(found.id, **small)
    assert target.array.dtype == np.float64
    assert target.shape == (size, size)
    assert 0.5 < np.abs(target.array).max() < 60
    assert f"size = {size}" in target.notes[0]


@pytest.mark.parametrize(
    ("url_id", "parameters", "message"),
    [
        ("low-rank", {"size": 32, "rank": 33}, "rank must be at most 32 for a 32 × 32"),
        ("low-rank", {"size": 32, "aspect": 0.25, "rank": 9}, "rank must be at most 8"),
        ("planted-blocks", {"size": 32, "grid": 16, "rank": 3}, "rank must be at most 2"),
        ("block-diagonal", {"size": 32, "blocks": 16, "rank": 3}, "rank must be at most 2"),
        ("toeplitz", {"size": 32, "bandwidth": 32}, "bandwidth must be at most 31"),
    ],
)
def test_parameters_that_do_not_fit_each_other(
    url_id: str, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        load(url_id, **parameters)


def test_low_rank_has_its_rank_until_noise_is_added() -> None:
    target = load("low-rank", size=96, aspect=0.5, rank=5)
    assert target.shape == (96, 48)
    assert np.linalg.matrix_rank(target.array) == 5
    noisy = load("low-rank", size=96, aspect=0.5, rank=5, noise=0.1).array
    assert np.linalg.matrix_rank(noisy) == 48
    assert np.std(noisy - target.array) == pytest.approx(0.1, rel=0.05)


def test_planted_blocks_have_their_rank_on_their_grid_only() -> None:
    target = load("planted-blocks", size=100, grid=7, rank=3)
    (cut,) = target.cuts
    assert (cut.rows, cut.cols) == (7, 7)
    ranks = [np.linalg.matrix_rank(block) for row in blocks(target.array, cut) for block in row]
    assert ranks == [3] * 49
    assert np.linalg.matrix_rank(target.array) == 100, "the whole matrix has no low rank"


def test_permuted_blocks_hide_the_planted_ones() -> None:
    parameters: dict[str, Any] = {"size": 96, "grid": 4, "rank": 2, "seed": 7}
    planted, hidden = load("planted-blocks", **parameters), load("permuted-blocks", **parameters)
    assert hidden.cuts == ()
    assert "a permuted copy of 'planted-blocks'" in hidden.notes[1]
    assert np.array_equal(np.sort(hidden.array.ravel()), np.sort(planted.array.ravel()))
    for axis in (0, 1):
        moved = (np.sort(hidden.array, axis) != np.sort(planted.array, axis)).any(axis)
        assert moved.mean() > 0.9, "nearly every column, and every row, is somewhere else"
    np.testing.assert_allclose(
        np.linalg.svd(hidden.array, compute_uv=False)[:8],
        np.linalg.svd(planted.array, compute_uv=False)[:8],
    )
    ranks = [
        np.linalg.matrix_rank(block)
        for row in blocks(hidden.array, planted.cuts[0])
        for block in row
    ]
    assert min(ranks) > 2


def test_block_diagonal_is_zero_off_the_diagonal() -> None:
    target = load("block-diagonal", size=64, blocks=4, rank=3)
    for i, row in enumerate(blocks(target.array, target.cuts[0])):
        for j, block in enumerate(row):
            assert np.linalg.matrix_rank(block) == (3 if i == j else 0)


def test_gaussian_noise_is_standard_normal() -> None:
    target = load("gaussian-noise", size=512, aspect=2.0)
    assert target.shape == (512, 1024)
    assert target.array.mean() == pytest.approx(0, abs=0.01)
    assert target.array.std() == pytest.approx(1, abs=0.01)


def test_spikes_are_as_many_and_as_large_as_stated() -> None:
    parameters: dict[str, Any] = {"size": 100, "rank": 3, "density": 0.02}
    spiked = load("spikes", amplitude=7.0, **parameters)
    difference = np.subtract(spiked.array, load("spikes", amplitude=0.0, **parameters).array)
    assert np.count_nonzero(np.abs(difference) > 1e-9) == 200
    sizes = difference[np.abs(difference) > 1e-9]
    np.testing.assert_allclose(np.abs(sizes), 7.0)
    assert 50 < np.count_nonzero(sizes > 0) < 150
    assert spiked.notes[1] == "200 spikes of ±7"


def test_smooth_kernel_is_a_kernel_whose_spectrum_falls_faster_when_smoother() -> None:
    rough, smooth = (
        load("smooth-kernel", size=64, length_scale=scale).array for scale in (0.02, 0.5)
    )
    assert np.array_equal(smooth, smooth.T)
    assert np.array_equal(np.diag(smooth), np.ones(64))
    assert (np.diff(smooth[0]) <= 0).all(), "the points are in order"
    assert error_at_rank(smooth, 4) < 1e-3 < error_at_rank(rough, 4)


def test_toeplitz_is_constant_along_each_diagonal_of_its_band() -> None:
    array = load("toeplitz", size=64, bandwidth=5, decay=0.8).array
    assert np.array_equal(array[1:, 1:], array[:-1, :-1])
    offset = np.subtract.outer(np.arange(64), np.arange(64))
    assert not array[np.abs(offset) > 5].any()
    assert array[np.abs(offset) <= 5].all()
    undamped = load("toeplitz", size=64, bandwidth=5, decay=1.0).array
    assert array[0, 3] == pytest.approx(undamped[0, 3] * 0.8**3)


def test_checkerboard_has_rank_one_and_squares_of_one_sign() -> None:
    target = load("checkerboard", size=64, cell=16)
    assert np.linalg.matrix_rank(target.array) == 1
    squares = blocks(target.array, target.cuts[0])
    assert [[float(square.mean()) for square in row] for row in squares[:2]] == [
        [1, -1, 1, -1],
        [-1, 1, -1, 1],
    ]
    assert load("checkerboard", size=64, cell=10).cuts == ()


@pytest.mark.parametrize("exponent", [0.0, 0.5, 2.0])
def test_power_law_has_its_exponent(exponent: float) -> None:
    array = load("power-law", size=64, exponent=exponent).array
    values = np.linalg.svd(array, compute_uv=False)
    slope = np.polyfit(np.log(np.arange(1, 65)), np.log(values), 1)[0]
    assert slope == pytest.approx(-exponent, abs=1e-9)
    assert np.mean(array**2) == pytest.approx(1)


@pytest.mark.parametrize(
    ("url_id", "cut"),
    [
        ("minilm-5-value", (12, 1)),
        ("minilm-0-output", (1, 12)),
        ("silero-lstm-hh", (4, 1)),
        ("silero-stft", (2, 1)),
        ("update-vit-1-key", (4, 1)),
        ("update-vit-1-output", (1, 4)),
    ],
)
def test_weights_have_their_natural_cut(url_id: str, cut: tuple[int, int]) -> None:
    (found,) = load(url_id).cuts
    assert (found.rows, found.cols) == cut


def test_the_halves_of_the_fourier_kernel_are_cosines_and_sines() -> None:
    kernel = load("silero-stft").array
    phase = 2 * np.pi * np.outer(np.arange(129), np.arange(256)) / 256
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(256) / 256)
    np.testing.assert_allclose(kernel[:129], np.cos(phase) * window, atol=1e-6)
    np.testing.assert_allclose(kernel[129:], -np.sin(phase) * window, atol=1e-6)


def make_target(array: np.ndarray) -> Target:
    return Target("x", "X", "pattern", "d", "s", "l", array)


def test_a_target_keeps_its_own_copy() -> None:
    array = np.ones((2, 3))
    target = make_target(array)
    array[0, 0] = 5
    assert target.array[0, 0] == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        target.title = "Y"  # type: ignore[misc]


def test_the_hash_tells_shape_and_dtype_apart() -> None:
    arrays: list[np.ndarray] = [
        np.zeros((2, 3)),
        np.zeros((3, 2)),
        np.zeros((2, 6), np.float32),
        np.eye(2, 3),
    ]
    assert len({make_target(array).sha256 for array in arrays}) == 4
    assert make_target(np.eye(3)[:, ::2]).sha256 == make_target(np.eye(3)[:, ::2].copy()).sha256


@pytest.mark.parametrize(
    ("array", "error", "message"),
    [
        (np.zeros((2, 2), np.int64), TypeError, "float32 or float64, but it is int64"),
        (np.zeros(3), ValueError, r"its shape is \(3,\)"),
        (np.zeros((2, 2, 4)), ValueError, r"its shape is \(2, 2, 4\)"),
        (np.zeros((0, 2)), ValueError, r"its shape is \(0, 2\)"),
        (np.array([[0.0, np.inf, np.nan]]), ValueError, "2 values .* row 0, column 1"),
    ],
)
def test_a_target_refuses_what_is_no_matrix(
    array: np.ndarray, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make_target(array)


def test_integers_stay_integers_and_numbers_become_floats() -> None:
    whole = Parameter("n", "N", 1, 0, 9, 1, "")
    number = Parameter("x", "X", 1.0, 0, 9, 1, "")
    assert type(whole.check(np.int64(3))) is int
    assert type(number.check(3)) is float
