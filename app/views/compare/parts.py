"""The parts of Compare under the pictures: curve, block, table, rank map, downloads."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import streamlit as st

from app.lens.view import Panel
from app.shared import charts, style, words
from app.shared import scene as compute
from app.shared import widgets as controls
from app.shared.common import BLOCK_COL, BLOCK_ROW, LOG_CURVE, RANK
from app.views.compare import figures
from app.views.compare import sentences as prose
from lolora_core import FAMILIES, Grid
from lolora_core.explore.compare import TIE, Comparison

__all__ = ["block", "curve", "downloads", "panels", "rank_map", "selected_block", "table"]

_COLUMN_HELP = {
    "family": "A family is a grid plus a rule that gives every block its rank.",
    "rank per block": "Ranks r of the blocks, lowest to highest; a block B·A of rank r costs "
    "r·(height + width) parameters. Hybrid: rank of the global term + ranks of the blocks.",
    "parameters": "Trainable parameters used.",
    "unused": "Parameters of the budget that whole ranks leave over.",
    "relative error": "‖W − Ŵ‖_F/‖W‖_F, no unit; 0 is exact.",
    "energy": "Share of ‖W‖² that is captured, 1 − error².",
    "PSNR": "Peak signal-to-noise ratio in dB; higher is better.",
    "SSIM": "Mean structural similarity, 7×7 window; 1 is the same picture.",
    "max error": "Largest |W − Ŵ|, in the unit of the entries.",
    "MSE": "Mean of (W − Ŵ)².",
    "rank of Ŵ": "Numerical rank of the whole reconstruction.",
    "compression": "Entries of the target over parameters used.",
}
_BEST = {
    "relative error": min,
    "energy": max,
    "PSNR": max,
    "SSIM": max,
    "max error": min,
    "MSE": min,
}


def selected_block(grid: Grid) -> tuple[int, int]:
    """Return the block that was picked, held inside the grid."""
    row, col = BLOCK_ROW.value, BLOCK_COL.value
    return min(row, grid.blocks[0] - 1), min(col, grid.blocks[1] - 1)


def panels(
    scene: compute.Scene, found: Comparison, pictures: compute.Pictures
) -> tuple[Panel, ...]:
    """Return one panel a family, in the order of the registry."""
    made = []
    winners = {result.family.name for result in found.winners}
    for name, family in FAMILIES.items():
        result = found.results.get(name)
        if result is None and not family.from_spectra:
            continue
        if result is None:
            made.append(
                Panel(
                    name,
                    name,
                    "not defined here",
                    style.FAMILY_COLOURS[name],
                    None,
                    message="Diagonal needs as many block rows as block columns; "
                    f"the grid is {scene.grid.label}.",
                )
            )
            continue
        made.append(
            Panel(
                name,
                name,
                f"error {words.format_error(result.relative_error)} · "
                f"{result.num_parameters:,} parameters",
                style.FAMILY_COLOURS[name],
                pictures.errors[name],
                pictures.block_errors[name],
                best=name in winners and len(winners) < len(found.results),
            )
        )
    return tuple(made)


def _largest_rank(scene: compute.Scene, found: Comparison) -> int:
    """Return where the curve ends: at as many parameters as entries, or at the slider's end."""
    m, n = scene.grid.shape
    return max(found.rank, min(RANK.maximum, m * n // (m + n)), 1)


def curve(scene: compute.Scene, found: Comparison) -> None:
    """Draw error against budget for every family, with the same facts as text."""
    st.subheader("Error against budget", anchor=False)
    logarithmic = controls.toggle(LOG_CURVE)
    largest = _largest_rank(scene, found)
    frame = compute.curves(scene, largest)
    points = {name: r.relative_error for name, r in found.results.items() if name not in frame}
    st.plotly_chart(
        figures.curve_figure(frame, found.rank, found.budget, points, logarithmic=logarithmic),
        key="curve",
        config={"displayModeBar": False},
    )
    crossings = prose.crossings(frame)
    if points:
        crossings += " Hybrid is a point: each budget of it costs a search."
    st.caption(
        f"Relative error of every family at every budget up to r = {largest}, from singular values "
        f"alone. Grey: the Eckart–Young floor, the least error of any matrix of the largest rank "
        f"that a rank map on this {scene.grid.label} grid can buy. {crossings}"
    )


def block(scene: compute.Scene, found: Comparison, pictures: compute.Pictures) -> None:
    """Show one block: spectrum, ranks, errors, and which family does best there."""
    grid = scene.grid
    st.subheader("One block", anchor=False)
    left, right = st.columns(2)
    for column, setting in ((left, BLOCK_ROW), (right, BLOCK_COL)):
        with column:
            controls.number(setting)
    row, col = selected_block(grid)
    asked = BLOCK_ROW.value, BLOCK_COL.value
    if (row, col) != asked:
        st.caption(
            f"The {grid.label} grid ends before block {asked}; you see block ({row}, {col})."
        )
    spectra = [c.on(grid).spectra.values[row, col] for c in compute.decompositions(scene)]
    values = np.sqrt(np.mean(np.square(spectra), axis=0))[: grid.max_ranks[row, col]]
    ranks, errors, terms = {}, {}, {}
    for name, result in found.results.items():
        where = (0, 0) if result.family.whole else (row, col)
        ranks[name] = int(result.rank_maps[:, *where].max())
        if result.family.search is not None:
            terms[name] = max(channel.global_rank for channel in result.channels)
        errors[name] = float(pictures.block_errors[name][row, col])
    best = min(errors.values())
    own = {name: rank for name, rank in ranks.items() if name != "global" and name not in terms}
    best_names = [name for name, error in errors.items() if error <= best + TIE]
    st.plotly_chart(
        figures.spectrum_figure(values, own),
        key="spectrum",
        config={"displayModeBar": False},
    )
    h, w = grid.row_sizes[row], grid.col_sizes[col]
    several = " Root mean square over the three channels." if len(spectra) > 1 else ""
    st.caption(
        f"Block ({row}, {col}), counted from 0: {h}×{w} entries. Dots: its singular values, "
        f"logarithmic; lines: how many of them each family keeps. Global keeps {ranks['global']} "
        f"of the whole matrix, not of this block.{several}"
        + "".join(f" {name} has a term of rank {r} for the whole." for name, r in terms.items())
    )
    frame = pd.DataFrame(
        {"family": errors.keys(), "rank": ranks.values(), "error": errors.values()}
    )
    frame["best"] = ["● best" if name in best_names else "" for name in frame["family"]]
    st.dataframe(
        frame,
        hide_index=True,
        width="stretch",
        column_config={
            "rank": st.column_config.NumberColumn(help="Rank given to this block."),
            "error": st.column_config.NumberColumn(
                format="%.3g", help="Residual norm in this block over ‖W‖_F of the whole matrix."
            ),
            "best": st.column_config.TextColumn(help="Lowest error in this block."),
        },
    )


def _marked(frame: pd.DataFrame, column: str) -> list[str]:
    best = _BEST[column](frame[column].dropna(), default=0.0)
    made = []
    for value in frame[column]:
        if value is None or pd.isna(value):
            made.append("not defined")
            continue
        text = prose.format_figure(column, value)
        made.append(f"● {text}" if prose.same_figure(column, value, best) else text)
    return made


def table(scene: compute.Scene, found: Comparison) -> None:
    """Show every figure of every family; the best of a column carries a dot."""
    st.subheader("All figures", anchor=False)
    rows = []
    for name in found.results:
        rows.append(compute.figures_of(scene, found.rank, name))
        # Streamlit can stop for a newer slider value only where something is drawn.
        st.empty()
    frame = pd.DataFrame(rows)
    display = frame.copy()
    for column in _BEST:
        display[column] = _marked(frame, column)
    display["compression"] = [f"{words.three_digits(value)}×" for value in frame["compression"]]
    st.dataframe(
        display,
        hide_index=True,
        width="stretch",
        key="figures",
        column_config={
            name: st.column_config.NumberColumn(help=text, format="localized")
            if name in ("parameters", "unused", "rank of Ŵ")
            else st.column_config.TextColumn(help=text)
            for name, text in _COLUMN_HELP.items()
        },
    )
    span = "1" if scene.target.value_range else "the span of the target's values"
    st.caption(
        f"● marks the best of a column. PSNR and SSIM take {span} as the data range. "
        + prose.target_facts(compute.decompositions(scene))
    )
    st.download_button(
        "Table as CSV",
        frame.to_csv(index=False),
        "table.csv",
        "text/csv",
        key="csv",
        on_click="ignore",
    )


def rank_map(scene: compute.Scene, found: Comparison, selected: tuple[int, int]) -> None:
    """Draw the ranks that `adaptive` chose."""
    st.subheader("Ranks that adaptive chose", anchor=False)
    ranks = found.results["adaptive"].rank_maps
    channel = 0
    if len(ranks) > 1:
        names = ("red", "green", "blue")
        channel = st.segmented_control(
            "Channel",
            range(3),
            default=0,
            required=True,
            format_func=names.__getitem__,
            key="channel",
        )
    chosen = ranks[channel]
    st.plotly_chart(
        figures.rank_map_figure(chosen, selected), key="rank_map", config={"displayModeBar": False}
    )
    uniform = int(found.results["localized"].rank_maps.max())
    zero = int((chosen == 0).sum())
    st.caption(
        f"Ranks from {chosen.min()} to {chosen.max()} where localized gives every block {uniform}; "
        f"{zero} of {chosen.size} blocks get none. The frame marks the picked block."
    )


def _npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=False)
    return out.getvalue()


def downloads(scene: compute.Scene, found: Comparison, pictures: compute.Pictures) -> None:
    """Offer the reconstruction, the error map and the data of the curve."""
    st.subheader("Download", anchor=False)
    name = st.selectbox("Family", list(found.results), key="download_family")
    target, error = scene.target, pictures.errors[name]
    span = target.display_range
    limit = pictures.peak("signed")
    image = target.value_range is not None
    stem = f"{target.id}-{name}-r{found.rank}-{scene.grid.label.replace('×', 'x')}"

    def dense() -> np.ndarray:
        return found.results[name].dense().numpy(force=True)

    files = (
        ("Reconstruction, PNG", f"{stem}.png", "image/png",
         lambda: charts.picture_png(dense(), span, image=image)),
        ("Reconstruction, NPY", f"{stem}.npy", "application/octet-stream", lambda: _npy(dense())),
        ("Signed error, PNG", f"{stem}-error.png", "image/png",
         lambda: charts.error_png(error, limit)),
        ("Signed error, NPY", f"{stem}-error.npy", "application/octet-stream",
         lambda: _npy(error)),
        ("Data of the curve, CSV", f"{stem}-curve.csv", "text/csv",
         lambda: _curve_csv(scene, found)),
    )  # fmt: skip
    for label, file_name, mime, make in files:
        st.download_button(label, make, file_name, mime, on_click="ignore", width="stretch")
    st.caption(
        f"PNG files have one pixel an entry. The error picture uses −{limit:.3g} … {limit:.3g}, "
        "the scale of all families; values of a reconstruction outside the target's range are "
        "clipped in the PNG and whole in the NPY. All settings are under Share."
    )


def _curve_csv(scene: compute.Scene, found: Comparison) -> bytes:
    return compute.curves(scene, _largest_rank(scene, found)).to_csv(index=False).encode()
