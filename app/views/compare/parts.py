"""The parts of Compare under the pictures: curve, block, table, rank map, downloads."""

from __future__ import annotations

import io
from collections.abc import Collection

import numpy as np
import pandas as pd
import streamlit as st

from app.lens.sentences import result_panel
from app.lens.view import Panel
from app.shared import answers, charts, style, words
from app.shared import widgets as controls
from app.shared.cells import rank_map_figure
from app.shared.common import BLOCK_COL, BLOCK_ROW, LOG_CURVE, RANK
from app.shared.scene import Scene, decompositions, lut_of
from app.views.compare import compute, figures, snippets
from app.views.compare import sentences as prose
from app.views.compare.structures import beside_names
from lolora_core import FAMILIES, Grid
from lolora_core.explore.compare import TIE, Comparison
from lolora_core.families.adaptive import Adaptive
from lolora_core.families.localized import Localized

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
    scene: Scene, found: Comparison, pictures: compute.Pictures, rebuilt: Collection[str]
) -> tuple[Panel, ...]:
    """Return one panel a family, in the order of the registry; `rebuilt` come without residuals."""
    made = []
    winners = {result.family.name for result in found.winners}
    drawings = beside_names(found)
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
                    style.FAMILY_LINES[name].colour,
                    None,
                    message=prose.undefined(name, scene.grid.label),
                    dash=style.FAMILY_LINES[name].dash,
                )
            )
            continue
        made.append(
            Panel(
                name,
                name,
                result_panel(result),
                style.FAMILY_LINES[name].colour,
                None if name in rebuilt else pictures.errors[name],
                pictures.block_errors[name],
                best=name in winners and len(winners) < len(found.results),
                drawing=drawings.get(name, ""),
                dash=style.FAMILY_LINES[name].dash,
            )
        )
    return tuple(made)


def _largest_rank(scene: Scene, found: Comparison) -> int:
    """Return where the curve ends: at as many parameters as entries, or at the slider's end."""
    m, n = scene.grid.shape
    return max(found.rank, min(RANK.maximum, m * n // (m + n)), 1)


def curve(scene: Scene, found: Comparison) -> None:
    """Draw error against budget for every family, with the same facts as text."""
    st.header("Error against budget", anchor=False)
    logarithmic = controls.toggle(LOG_CURVE)
    largest = _largest_rank(scene, found)
    frame = compute.curves(scene, largest)
    points = {name: r.relative_error for name, r in found.results.items() if name not in frame}
    names = [name for name in FAMILIES if name in frame]
    answers.chart(
        figures.curve_figure(frame, found.rank, found.budget, points, logarithmic=logarithmic),
        key="curve",
        caption=prose.curve(frame, largest, scene.grid.label, list(points)),
        help=prose.FLOOR,
        code=snippets.curve(scene, names, frame["equivalent rank"].tolist()),
    )


def block(scene: Scene, found: Comparison, pictures: compute.Pictures) -> None:
    """Show one block: spectrum, ranks, errors, and which family does best there."""
    grid = scene.grid
    st.header("One block", anchor=False)
    left, right = st.columns(2)
    for column, setting in ((left, BLOCK_ROW), (right, BLOCK_COL)):
        with column:
            controls.number(setting)
    row, col = selected_block(grid)
    asked = BLOCK_ROW.value, BLOCK_COL.value
    if (row, col) != asked:
        st.caption(prose.beyond_grid(grid.label, asked, (row, col)))
    spectra = [c.on(grid).spectra.values[row, col] for c in decompositions(scene)]
    values = np.sqrt(np.mean(np.square(spectra), axis=0))[: grid.max_ranks[row, col]]
    ranks, errors, terms = {}, {}, {}
    for name, result in found.results.items():
        where = (0, 0) if result.family.spans_whole else (row, col)
        ranks[name] = int(result.rank_maps[:, *where].max())
        if not result.family.from_spectra:
            terms[name] = max(channel.global_rank for channel in result.channels)
        errors[name] = float(pictures.block_errors[name][row, col])
    best = min(errors.values())
    own = {n: r for n, r in ranks.items() if not FAMILIES[n].spans_whole and n not in terms}
    best_names = [name for name, error in errors.items() if error <= best + TIE]
    size = int(grid.row_sizes[row]), int(grid.col_sizes[col])
    wholes = {name: rank for name, rank in ranks.items() if FAMILIES[name].spans_whole}
    answers.chart(
        figures.spectrum_figure(values, own),
        key="spectrum",
        caption=prose.block((row, col), size, wholes, terms, channels=len(spectra)),
        help=prose.SPECTRUM,
        code=snippets.block(scene, (row, col)),
    )
    frame = pd.DataFrame(
        {"family": errors.keys(), "rank": ranks.values(), "error": errors.values()}
    )
    frame["best"] = ["● best" if name in best_names else "" for name in frame["family"]]
    answers.table(
        frame,
        key="block_figures",
        columns={
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
        made.append(prose.marked_figure(column, value, best))
    return made


def table(scene: Scene, found: Comparison) -> None:
    """Show every figure of every family; the best of a column carries a dot."""
    st.header("All figures", anchor=False)
    rows = []
    for name in found.results:
        rows.append(compute.figures_of(scene, found, name))
        # Streamlit can stop for a newer slider value only where something is drawn.
        st.empty()
    frame = pd.DataFrame(rows)
    display = frame.copy()
    for column in _BEST:
        display[column] = _marked(frame, column)
    display["compression"] = [f"{words.three_digits(value)}×" for value in frame["compression"]]
    answers.table(
        display,
        key="figures",
        columns={
            name: st.column_config.NumberColumn(help=text, format="localized")
            if name in ("parameters", "unused", "rank of Ŵ")
            else st.column_config.TextColumn(help=text)
            for name, text in _COLUMN_HELP.items()
        },
    )
    channels, image = decompositions(scene), scene.target.value_range is not None
    st.caption(
        f"{prose.table(image=image)} {prose.target_facts(channels, image=image)}",
        help=prose.target_definition(channels),
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        answers.csv(frame, "Table as CSV", "table.csv", key="csv")
        answers.python(snippets.table(scene, found.rank), key="table_python")


def rank_map(scene: Scene, found: Comparison, selected: tuple[int, int]) -> None:
    """Draw the ranks that `adaptive` chose."""
    st.header("Ranks that adaptive chose", anchor=False)
    ranks = found.results[Adaptive.name].rank_maps
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
    answers.chart(
        rank_map_figure(chosen, selected),
        key="rank_map",
        caption=prose.chosen_ranks(chosen, int(found.results[Localized.name].rank_maps.max())),
        code=snippets.rank_map(scene, Adaptive.name, found.rank, channel),
    )


def _npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=False)
    return out.getvalue()


def downloads(
    scene: Scene, found: Comparison, pictures: compute.Pictures, part: int | None
) -> None:
    """Offer the reconstruction, the error map, the target and the data of the curve."""
    st.header("Download", anchor=False)
    name = st.selectbox("Family", list(found.results), key="download_family")
    target = scene.target
    span = target.display_range
    limit, _ = compute.limits(found, pictures, "signed", part)
    image = target.value_range is not None
    stem = f"{target.id}-{name}-r{found.rank}-{scene.grid.label.replace('×', 'x')}"

    def dense() -> np.ndarray:
        return found.results[name].dense().numpy(force=True)

    files = (
        ("Reconstruction, PNG", f"{stem}.png", "image/png",
         lambda: charts.picture_png(dense(), span, image=image, lut=lut_of(target))),
        ("Reconstruction, NPY", f"{stem}.npy", "application/octet-stream", lambda: _npy(dense())),
        ("Signed error, PNG", f"{stem}-error.png", "image/png",
         lambda: charts.error_png(pictures.errors[name], limit)),
        ("Signed error, NPY", f"{stem}-error.npy", "application/octet-stream",
         lambda: _npy(pictures.errors[name])),
        ("Target, NPY", f"{target.id}.npy", "application/octet-stream",
         lambda: _npy(target.array)),
        ("Data of the curve, CSV", f"{stem}-curve.csv", "text/csv",
         lambda: _curve_csv(scene, found)),
    )  # fmt: skip
    for label, file_name, mime, make in files:
        st.download_button(label, make, file_name, mime, on_click="ignore", width="stretch")
    st.caption(prose.files(limit))


def _curve_csv(scene: Scene, found: Comparison) -> bytes:
    return compute.curves(scene, _largest_rank(scene, found)).to_csv(index=False).encode()
