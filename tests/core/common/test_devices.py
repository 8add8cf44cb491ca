from __future__ import annotations

import pytest
import torch

from lolora_core.common.devices import available_devices, resolve_device


def test_the_best_device_that_is_there_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert available_devices() == ("mps", "cpu")
    assert str(resolve_device("auto")) == "mps"


def test_a_device_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert str(resolve_device("auto")) == "cpu"
    for missing in ("cuda", "cuda:0", "mps", "tpu"):
        with pytest.raises(ValueError, match=rf"one that is there \(cpu\); it is '{missing}'"):
            resolve_device(missing)
