from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from lolora_core.checkpoints import open_source, what
from lolora_core.checkpoints.align import open_pair
from lolora_core.files.header import STORED_DTYPES, TooManyTensorsError, parse_header
from lolora_core.files.tensors import MappingSource
from lolora_core.targets import list_tensors

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


def test_a_header_may_name_so_many_tensors_and_no_more(tmp_path: Path) -> None:
    data = save({f"h.{at}.fc.weight": torch.ones(2, 2) for at in range(3)})
    text = data[8 : 8 + int.from_bytes(data[:8], "little")]
    said = "holds 3 tensors, and at most 2 are read; put those that are wanted into a file"
    assert len(parse_header(text, len(data), 3).tensors) == 3
    for damage in (text, text.replace(b"data_off", rb"data\u005foff")):
        size = len(data) + len(damage) - len(text)
        with pytest.raises(TooManyTensorsError, match=f"^{said}"):
            parse_header(damage, size, 2)
    with pytest.raises(ValueError, match=rf"^a\.safetensors {said} of their own\.$"):
        list_tensors(data, name="a.safetensors", max_tensors=2)
    file = tmp_path / "a.safetensors"
    file.write_bytes(data)
    for read in (what, open_source, lambda where, **limit: open_pair(where, where, **limit)):
        with pytest.raises(ValueError, match=said):
            read(file, max_tensors=2)


def test_shards_are_counted_together(tmp_path: Path) -> None:
    places = {}
    for at in range(3):
        name = f"model-{at}.safetensors"
        (tmp_path / name).write_bytes(save({f"h.{at}.fc.weight": torch.ones(2, 2)}))
        places[f"h.{at}.fc.weight"] = name
    index = json.dumps({"weight_map": places})
    (tmp_path / "model.safetensors.index.json").write_text(index)
    assert len(open_source(tmp_path, max_tensors=3).tensors) == 3
    with pytest.raises(ValueError, match="holds 3 tensors, and at most 2 are read"):
        open_source(tmp_path, max_tensors=2)
