"""What a file is by its first bytes, where it is no safetensors file."""

from __future__ import annotations

from lolora_core.files.contents import Contents
from lolora_core.files.pickles import HOW_TO_CONVERT, PICKLES, is_array_archive

__all__ = ["FIRST_BYTES", "contents_of_bytes"]

#: As many as `contents_of_bytes` looks at.
FIRST_BYTES = 512

_GGUF = "give the safetensors checkpoint that it was made from; GGUF packs its weights"
_NUMPY = "name a matrix of it where one matrix is asked for: lolora approximate FILE.npy"
_NPZ = "save the one array that is wanted with numpy.save, as .npy"
_PICKLE = HOW_TO_CONVERT[0].lower() + HOW_TO_CONVERT[1:].rstrip(".")
_IMAGE = "a picture is a matrix for approximate, sweep and advise, and no checkpoint"
_STARTS = (
    (b"GGUF", "a GGUF file", _GGUF),
    (b"\x93NUMPY", "a NumPy file", _NUMPY),
    (b"\x89PNG", "a picture", _IMAGE),
    (b"\xff\xd8\xff", "a picture", _IMAGE),
    (b"RIFF", "a picture", _IMAGE),
    (b"\x89HDF", "an HDF5 file", "convert its weights to safetensors"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file", "fetch it: git lfs pull"),
)


def contents_of_bytes(first: bytes, name: str) -> Contents | None:
    """Return what a file is by its first bytes and its name; None where that says nothing.

    Examples
    --------
    >>> contents_of_bytes(b"GGUF" + bytes(20), "model.safetensors").words
    'a GGUF file'
    >>> contents_of_bytes(bytes(20), "model.safetensors") is None
    True
    """
    for start, words, advice in _STARTS:
        if first.startswith(start):
            return _other(words, f"it begins with {start.decode('latin-1').strip()!r}", advice)
    if first.startswith(b"PK\x03\x04"):
        if is_array_archive(first) or name.lower().endswith(".npz"):
            return _other("a NumPy archive of several arrays", "it is a zip with .npy files", _NPZ)
        return _other("a pickle in a zip, as torch.save writes it", "it is a zip", _PICKLE)
    if first[:1] == b"\x80" and first[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return _other("a pickle", "it begins like one", _PICKLE)
    if name.lower().endswith(PICKLES):
        return _other("a pickle by its name", f"it is called {name}", _PICKLE)
    return None


def _other(words: str, evidence: str, advice: str) -> Contents:
    return Contents("other", words, (evidence,), (), advice)
