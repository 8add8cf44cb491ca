from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save

from lolora_core.files.header import STORED_DTYPES, parse_header
from lolora_core.files.tensors import MappingSource

STORABLE = {
    name: getattr(torch, stored.torch)
    for name, stored in STORED_DTYPES.items()
    if stored.torch and name != "F8_E8M0"
}


@pytest.mark.parametrize("name", STORABLE)
def test_every_dtype_is_spelled_and_measured_as_safetensors_does(name: str) -> None:
    tensor = torch.zeros(3, 5).to(STORABLE[name])
    data = save({"w": tensor})
    length = int.from_bytes(data[:8], "little")
    assert json.loads(data[8 : 8 + length])["w"]["dtype"] == name
    stored = parse_header(data[8 : 8 + length], len(data)).tensors["w"]
    assert stored.end - stored.start == 15 * tensor.element_size()
    held = MappingSource({"w": tensor}).tensors["w"]
    assert (held.dtype, held.views, held.reason) == (
        stored.info.dtype,
        stored.info.views,
        stored.info.reason,
    )
