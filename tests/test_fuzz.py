"""A thousand damaged files end in a value or in a sentence; benchmarks/fuzz.py tries more."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzzing import READERS, WAYS, Edit, Reader, damaged, ending

EDITS = st.lists(
    st.tuples(st.integers(0, WAYS - 1), st.integers(0, 20_000), st.integers(0, 255)), max_size=6
)
NAMES = [reader.name for reader in READERS]


@pytest.mark.parametrize("reader", READERS, ids=NAMES)
def test_good_files_are_read(reader: Reader) -> None:
    # Of checkpoints some are of a kind that is refused by its name.
    assert "read" in {ending(reader, sample) for sample in reader.samples()}


@pytest.mark.parametrize("reader", READERS, ids=NAMES)
@settings(max_examples=75, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(which=st.integers(0, 30), edits=EDITS, mended=st.booleans())
def test_damaged_files_end_in_a_value_or_a_sentence(
    reader: Reader, which: int, edits: list[Edit], mended: bool
) -> None:
    samples = reader.samples()
    data = damaged(samples[which % len(samples)], edits)
    ending(reader, reader.mend(data) if mended and reader.mend else data)


@pytest.mark.parametrize("reader", READERS, ids=NAMES)
@settings(max_examples=15, deadline=None)
@given(data=st.binary(max_size=200))
def test_random_bytes_end_in_a_value_or_a_sentence(reader: Reader, data: bytes) -> None:
    ending(reader, data)
