"""Each conversion against its definition, read again in plain Python."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lolora_core import CONVERSIONS
from lolora_core.explore.other_tools import Conversion

SPECTRA: dict[str, list[float]] = {
    "falling": [9.0, 4.0, 2.5, 1.0, 0.5, 0.25],
    "power law": [1 / k for k in range(1, 41)],
    "exponential": [math.exp(-k) for k in range(30)],
    "flat": [2.0] * 7,
    "ties": [5.0, 5.0, 3.0, 3.0, 3.0, 1.0],
    "zero tail": [6.0, 3.0, 1.0, 0.0, 0.0],
    "zero matrix": [0.0, 0.0, 0.0],
    "tiny": [1e-7, 5e-8, 1e-9],
    "one": [3.0],
}


def _smallest(values: list[float], reached: Callable[[list[float]], bool]) -> int:
    return next((r for r in range(1, len(values) + 1) if reached(values[:r])), len(values))


def _peft(values: list[float], x: float) -> int:
    whole = math.fsum(v * v for v in values)
    return _smallest(values, lambda kept: math.fsum(v * v for v in kept) >= x * whole)


def _fro(values: list[float], x: float) -> int:
    if values[0] <= 1e-6:
        return 1
    whole = math.hypot(*values)
    return _smallest(values, lambda kept: math.hypot(*kept) >= x * whole)


def _cumulative(values: list[float], x: float) -> int:
    if values[0] <= 1e-6:
        return 1
    return _smallest(values, lambda kept: math.fsum(kept) >= x * math.fsum(values))


def _ratio(values: list[float], x: float) -> int:
    if values[0] <= 1e-6:
        return 1
    return max(1, len([v for v in values if v > values[0] / x]))


def _threshold(values: list[float], x: float) -> int:
    return max(1, len([v for v in values if v > x]))


def _share_of_largest(values: list[float], x: float) -> int:
    return max(1, len([v for v in values if v > x * values[0]]))


def _quantile(values: list[float], x: float) -> int:
    below = [r for r in range(1, len(values) + 1) if math.fsum(values[:r]) < x * math.fsum(values)]
    return max([1, *below])


def _epsilon(values: list[float], x: float) -> int:
    return len(values) if x == 0 else len([v for v in values if v > x])


DEFINITIONS: dict[str, Callable[[list[float], float], int]] = {
    "peft_float_rank": _peft,
    "kohya_sv_fro": _fro,
    "kohya_sv_cumulative": _cumulative,
    "kohya_sv_ratio": _ratio,
    "lycoris_threshold": _threshold,
    "lycoris_ratio": _share_of_largest,
    "lycoris_quantile": _quantile,
    "mergekit_sv_epsilon": _epsilon,
}

ABSOLUTE = ("lycoris_threshold", "mergekit_sv_epsilon")


def test_every_conversion_has_a_definition_here() -> None:
    assert [c.name for c in CONVERSIONS] == list(DEFINITIONS)
    assert all(c.tool and c.setting and c.definition for c in CONVERSIONS)


@pytest.mark.parametrize("conversion", CONVERSIONS, ids=lambda c: c.name)
@pytest.mark.parametrize("name", SPECTRA)
def test_rank_follows_the_definition(conversion: Conversion, name: str) -> None:
    values = SPECTRA[name]
    # Odd numbers, so that no share is met exactly and rounding decides nothing.
    xs = [0.0137, 0.1291, 0.3339, 0.5077, 0.7703, 0.9001, 0.9907]
    if conversion.name in ABSOLUTE:
        xs = [x * (values[0] or 1) for x in xs]
    if conversion.name == "kohya_sv_ratio":
        xs += [1.0137, 3.339, 77.03]
    if conversion.name in ("lycoris_ratio", *ABSOLUTE):
        xs.append(0.0)
    for x in xs:
        found = conversion.rank(np.array(values), x)
        assert found == DEFINITIONS[conversion.name](values, x), x


@pytest.mark.parametrize("conversion", CONVERSIONS, ids=lambda c: c.name)
@pytest.mark.parametrize("name", SPECTRA)
def test_there_and_back(conversion: Conversion, name: str) -> None:
    values = SPECTRA[name]
    # Every rank that some value gives, tried out densely, must be found; no other may be.
    top = values[0] or 1.0
    tries = [*np.linspace(1e-6, 1, 4001), *np.geomspace(1e-16, 1, 2001)]
    if conversion.name in ABSOLUTE:
        tries = [0.0, *(x * 1.5 * top for x in tries)]
    elif conversion.name == "kohya_sv_ratio":
        tries = [1 / x for x in tries]
    elif conversion.name == "lycoris_ratio":
        tries = [0.0, *tries]
    given_by_some = {DEFINITIONS[conversion.name](values, float(x)) for x in tries}
    for rank in range(len(values) + 1):
        value = conversion.value(np.array(values), rank)
        if value is None:
            assert rank not in given_by_some, rank
        else:
            assert DEFINITIONS[conversion.name](values, value) == rank
            assert conversion.rank(np.array(values), value) == rank


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=12), st.integers(0, 12))
def test_there_and_back_on_any_spectrum(values: list[float], rank: int) -> None:
    falling = sorted(values, reverse=True)
    for conversion in CONVERSIONS:
        value = conversion.value(np.array(falling), min(rank, len(falling)))
        if value is not None:
            assert conversion.rank(np.array(falling), value) == min(rank, len(falling))


def test_the_same_number_means_different_ranks() -> None:
    values = np.array(SPECTRA["power law"])
    shares = [c for c in CONVERSIONS if c.name not in (*ABSOLUTE, "kohya_sv_ratio")]
    assert [c.rank(values, 0.9) for c in shares] == [5, 3, 26, 1, 25]


@pytest.mark.parametrize("conversion", CONVERSIONS, ids=lambda c: c.name)
def test_bad_input(conversion: Conversion) -> None:
    values = np.array([2.0, 1.0])
    with pytest.raises(ValueError, match=r"must be .*; it is -0\.1"):
        conversion.rank(values, -0.1)
    with pytest.raises(ValueError, match="rank must be between 0 and 2; it is 3"):
        conversion.value(values, 3)
    for wrong in ([1.0, 2.0], [1.0, -1.0], []):
        with pytest.raises(ValueError, match="falling and 0 or more"):
            conversion.rank(np.array(wrong), 0.5)
    if conversion.name not in (*ABSOLUTE, "kohya_sv_ratio"):
        with pytest.raises(ValueError, match=r"at most 1; it is 1\.5"):
            conversion.rank(values, 1.5)
