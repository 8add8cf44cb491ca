"""A small page with the linked pictures, for tests/browser/test_linked_view.py.

``?case=tiny``, ``square``, ``rgb`` or ``camera`` picks known arrays, ``?view=…`` the view.
"""

import time
from typing import Any, cast

import numpy as np
import streamlit as st
from plotly.colors import sample_colorscale, unlabel_rgb

from app.lens.view import Content, Panel, View, linked_view, pack

COLOURS = {
    "global": "#0072B2",
    "diagonal": "#E69F00",
    "localized": "#009E73",
    "adaptive": "#CC79A7",
}


def lut(name: str) -> bytes:
    """Return 256 RGB triples of a plotly colour scale."""
    colours = sample_colorscale(name, [i / 255 for i in range(256)])
    return np.array([unlabel_rgb(c) for c in colours]).round().astype(np.uint8).tobytes()


LUTS = {"values": lut("Cividis"), "signed": lut("PuOr"), "absolute": lut("Cividis")}


def block_norms(error: np.ndarray, rows: list[int], cols: list[int], whole: float) -> np.ndarray:
    """Return the Frobenius norm of every block over ``whole``."""
    sums = np.add.reduceat(np.add.reduceat(error.astype(float) ** 2, rows[:-1], 0), cols[:-1], 1)
    while sums.ndim > 2:
        sums = sums.sum(-1)
    return np.asarray(np.sqrt(sums) / whole)


def edges(size: int, parts: int) -> list[int]:
    """Return the edges of ``parts`` nearly equal parts."""
    return [0, *np.cumsum([len(a) for a in np.array_split(np.arange(size), parts)]).tolist()]


def truncated(w: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Return the residual after truncating the SVD of every block to its rank."""
    error = w.copy()
    rows, cols = edges(w.shape[0], ranks.shape[0]), edges(w.shape[1], ranks.shape[1])
    for i, j in np.ndindex(ranks.shape):
        part = (slice(rows[i], rows[i + 1]), slice(cols[j], cols[j + 1]))
        u, s, v = svd_of(w, part)
        r = ranks[i, j]
        error[part] -= (u[:, :r] * s[:r]) @ v[:r]
    return error


@st.cache_resource
def _store() -> dict[Any, Any]:
    return {}


def svd_of(w: np.ndarray, part: tuple[slice, slice]) -> Any:
    """Return the SVD of one block of the camera picture, computed once."""
    key = (w.shape, part[0].start, part[0].stop, part[1].start, part[1].stop)
    if key not in _store():
        _store()[key] = np.linalg.svd(w[part], full_matrices=False)
    return _store()[key]


def camera(rank: int, size: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the camera picture and the residuals of four families."""
    if (size, "camera") not in _store():
        from skimage import data, transform

        picture = data.camera() / 255.0
        if size != 512:
            picture = transform.resize(picture, (size, size), order=1)
        _store()[(size, "camera")] = picture.astype(np.float32)
    w = _store()[(size, "camera")]
    if (size, rank) in _store():
        return w, _store()[(size, rank)]
    local = max(1, rank // 8)
    spectra = np.array(
        [
            [svd_of(w, (slice(a, a + size // 8), slice(b, b + size // 8)))[1] for b in starts]
            for starts in [range(0, size, size // 8)]
            for a in starts
        ]
    )
    threshold = np.sort(spectra.ravel())[-64 * local]
    errors = {
        "global": truncated(w, np.array([[rank]])),
        "diagonal": truncated(w, np.eye(8, dtype=int) * rank),
        "localized": truncated(w, np.full((8, 8), local)),
        "adaptive": truncated(w, (spectra >= threshold).sum(-1)),
    }
    _store()[(size, rank)] = errors
    return w, errors


def known(case: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return arrays whose values a test knows."""
    if case == "tiny":
        target = np.arange(48.0).reshape(6, 8) / 64  # exact in float32
        first = np.zeros((6, 8))
        first[2, 3], first[5, 7] = 0.25, -0.5
        return target, {"global": first, "localized": (np.arange(48.0).reshape(6, 8) - 24) / 128}
    rng = np.random.default_rng(0)
    shape = (64, 64, 3) if case == "rgb" else (64, 64)
    return rng.random(shape), {name: rng.normal(0, 0.1, shape) for name in list(COLOURS)[:3]}


def main() -> None:
    """Draw the page."""
    st.set_page_config(layout="wide", page_title="linked pictures")
    query = st.query_params
    case = query.get("case", "camera")
    with st.sidebar:
        st.header("Target")
        rank = st.slider("rank", 8, 64, 32, step=8, key="rank")
        view = st.radio("show", ["reconstruction", "signed", "absolute", "blocks"], key="view",
                        index=["reconstruction", "signed", "absolute", "blocks"].index(
                            query.get("view", "reconstruction")))  # fmt: skip
        grid = st.checkbox("grid", value="grid" in query, key="grid")
        squares = st.checkbox("squares", value="squares" in query, key="squares")
    if case == "camera":
        target, errors = camera(rank, int(query.get("size", 512)))
        parts, limit = (8, 8), 0.4
    else:
        target, errors = known(case)
        parts, limit = ((2, 4), 0.25) if case == "tiny" else ((8, 8), 0.2)
    rows, cols = edges(target.shape[0], parts[0]), edges(target.shape[1], parts[1])
    whole = float(np.linalg.norm(target))
    panels = []
    best = min(errors, key=lambda name: float(np.linalg.norm(errors[name])))
    largest = 0.0
    for name, error in errors.items():
        norms = block_norms(error, rows, cols, whole)
        largest = max(largest, float(norms.max()))
        share = float(np.linalg.norm(error)) / whole
        panels.append(
            Panel(name, name, f"error {share:.3g} · 32,768 parameters", COLOURS[name], error,
                  norms, best=name == best))  # fmt: skip
    if "message" in query:
        words = "diagonal needs as many block rows as block columns"
        panels[-1] = Panel(panels[-1].name, panels[-1].name, "no result", "#E69F00", None,
                           message=words)  # fmt: skip
    picked = st.session_state.get("picked", (0, 0))

    def on_pick() -> None:
        block = st.session_state["pictures"]["block"]
        st.session_state["picked"] = (block["row"], block["col"])

    content: Content = {
        "target": target,
        "value_range": (0.0, 1.0),
        "panels": panels,
        "view": cast("View", view),
        "limit": limit,
        "block_limit": largest,
        "row_edges": rows,
        "col_edges": cols,
        "show_grid": grid,
        "show_block_errors": squares,
        "selected": picked,
        "image": case != "tiny",
        "luts": LUTS,
    }
    if "plain" not in query:
        st.subheader("adaptive wins: error 0.062")
    result = linked_view(key="pictures", on_pick=on_pick, **content)
    started = time.perf_counter()
    size = len(pack(content))
    took = 1e3 * (time.perf_counter() - started)
    st.write(f"picked {picked[0]},{picked[1]} result {result.block}")
    st.caption(f"packed {size} bytes in {took:.2f} ms")


if __name__ == "__main__":
    main()
