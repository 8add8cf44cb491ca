"""The learned ΔW of every method: pictures on one scale, singular values, rewind."""

from __future__ import annotations

import numpy as np
import streamlit as st

from app.shared import answers
from app.shared import scene as compute
from app.shared import widgets as controls
from app.shared.settings import widget_value
from app.views.fine_tune import figures, snippets
from app.views.fine_tune import sentences as words
from app.views.fine_tune.film import Frame
from app.views.fine_tune.jobs import Race
from app.views.fine_tune.settings import SCALE

__all__ = ["draw"]

# Pixels on the screen: a tall ΔW must not fill a page.
_NARROWEST, _WIDEST, _HIGHEST = 128, 240, 320


def _frame(race: Race) -> tuple[Frame | None, str]:
    """Let the visitor choose a module, a scale, and go back to a snapshot."""
    first = race.film.at(0)
    if first is None:
        return None, ""
    modules = list(next(iter(first.deltas.values()), {}))
    # They wrap where there is no room; in columns the scale would be cut.
    with st.container(horizontal=True, vertical_alignment="bottom"):
        picked = widget_value("ft_module")
        module = st.selectbox(
            "Adapted matrix", modules, index=modules.index(picked) if picked in modules else 0,
            key="ft_module", help="Whose update ΔW is shown.", width=220,
        )  # fmt: skip
        controls.segments(SCALE)
        step = st.slider(
            "Rewind to step", 0, race.num_steps, race.num_steps, key="ft_rewind", width=320,
            help="Shows the last snapshot at or before this step; at the right end the latest.",
        )  # fmt: skip
    return race.film.at(step), module or ""


def draw(race: Race) -> None:
    """Draw the learned ΔW of every method on one scale, and their spectra."""
    st.header("Learned ΔW", anchor=False)
    frame, module = _frame(race)
    if frame is None:
        st.caption(words.FIRST_STEP)
        return
    names = race.plan.methods
    dense = {name: frame.deltas[name][module].dense() for name in names if name in frame.deltas}
    part: int = SCALE.value
    limit = race.film.limit(names, module) / part
    with st.container(horizontal=True, gap="small"):
        for name in names:
            _picture(name, dense.get(name), limit)
    shape = next(iter(dense.values())).shape if dense else (0, 0)
    _scale(limit)
    kept = [f.step for f in race.film.frames]
    seed = race.plan.seeds[0]
    st.caption(
        f"{words.update(module, shape, seed, frame.step)} {words.one_scale(limit, part)} "
        f"{words.snapshots(kept)}"
    )
    answers.python(snippets.update(race.plan, module, frame.step), key="ft_update_python")
    spectra = {
        name: compute.spectrum(matrix, race.key, frame.step, name, module)
        for name, matrix in dense.items()
    }
    answers.chart(
        figures.spectra_figure(spectra),
        key="ft_spectra",
        caption=f"{words.SPECTRA} {words.spectrum_facts(spectra)}",
        code=snippets.spectra(race.plan, module, frame.step),
    )


def _picture(name: str, delta: np.ndarray | None, limit: float) -> None:
    rows, cols = (1, 1) if delta is None else delta.shape
    width = min(_WIDEST, max(24, _HIGHEST * cols // rows))
    with st.container(width=max(width, _NARROWEST)):
        if delta is None:
            st.caption(words.no_picture(name))
            return
        with st.container(width=width):
            png = figures.delta_png(delta, limit)
            st.html(figures.inline(png, f"ΔW of {name}"))
        st.caption(words.picture_facts(name, delta, limit))


def _scale(limit: float) -> None:
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.caption(f"−{limit:.3g}", width="content")
        with st.container(width=180):
            st.html(figures.inline(figures.scale_png(), "colour scale"))
        st.caption(f"{limit:.3g}", width="content")
