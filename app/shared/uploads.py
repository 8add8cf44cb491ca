"""A target of the visitor's own: uploaded, or made in this session."""

from __future__ import annotations

import streamlit as st

from app.shared import address
from app.shared import scene as compute
from app.shared import widgets as controls
from app.shared.common import COLOUR, SIDE, TARGET, UPLOAD
from app.shared.held import kept, take
from app.shared.host import host
from app.shared.sentences import window
from app.shared.settings import Slot
from lolora_core.common.names import display_name
from lolora_core.targets import Target, check_kind, list_tensors

__all__ = ["look_at", "uploaded"]

_UPLOADER = "file"
#: Digest, name and reading of the upload, and the browser's id of its file.
_UPLOAD: Slot[tuple[str, str, compute.UploadChoice] | None] = Slot("upload", None)
_FILE: Slot[str] = Slot("upload_file", "")


def _choose_reading(name: str, data: bytes) -> compute.UploadChoice:
    kind = check_kind(data, name)
    if kind == "image":
        side = controls.choice(SIDE)
        colour = controls.toggle(COLOUR)
        return compute.UploadChoice(kind, side=side, colour=colour)
    tensor, view = "", None
    if kind == "safetensors":
        tensors = {
            found.name: found
            for found in list_tensors(data, name=name, max_tensors=host().max_tensors)
        }
        usable = [found.name for found in tensors.values() if found.views]
        if not usable:
            raise ValueError(f"{display_name(name)} holds no tensor that can be read as a matrix.")
        tensor = st.selectbox(
            f"Tensor ({len(usable)} of {len(tensors)} can be read as a matrix)",
            usable,
            format_func=lambda key: f"{key}  {'×'.join(map(str, tensors[key].shape))}",
        )
        views = [found.label for found in tensors[tensor].views]
        view = views[0]
        if len(views) > 1:
            view = st.selectbox("Read as a matrix", views, help="The order of the values stays.")
    with st.expander("Window of a larger matrix"):
        st.caption(window(compute.largest_side()))
        row = st.number_input("First row", min_value=0, value=0, step=1)
        col = st.number_input("First column", min_value=0, value=0, step=1)
    return compute.UploadChoice(kind, tensor=tensor, view=view, row=row, col=col)


def uploaded() -> Target | None:
    """Draw what takes a file; return the target, or None before there is one."""
    file = st.file_uploader(
        "PNG, JPEG, WebP, .npy or .safetensors",
        key=_UPLOADER,
        max_upload_size=host().max_upload_mb,
        help="Stays in this server's memory while you look at it; it is not in the link.",
    )
    before = _UPLOAD.value
    # The browser keeps the file that was uploaded before a target was made in this session.
    older = before and before[2].kind == "session" and _FILE.value
    if file is None or older == file.file_id:
        if before:
            digest, name, choice = before
            same = (held for held in kept(_UPLOADER) if held.identity == digest)
            data = next((held.data for held in same), None)
            return compute.uploaded_target(data, digest, name, choice)
        st.info(
            "An upload is not part of a link. Upload the file to see the view that was shared, "
            "or pick another target."
        )
        return None
    (held,) = take(_UPLOADER, [file], "Upload a smaller file, or a part of the matrix.")
    data, digest = held.data, held.identity
    choice = _choose_reading(file.name, data)
    target = compute.uploaded_target(data, digest, file.name, choice)
    _UPLOAD.set((digest, file.name, choice))
    _FILE.set(file.file_id)
    return target


def look_at(target: Target, path: str) -> None:
    """Go to a page and look at a target of this session there, as if uploaded; a callback."""
    choice = compute.UploadChoice("session")
    name = compute.hold_upload(target, choice)
    _UPLOAD.set((target.sha256, name, choice))
    TARGET.set(UPLOAD)
    address.go_to(path)
