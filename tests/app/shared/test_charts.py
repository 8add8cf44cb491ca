"""Figures as plain data against those that plotly builds."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io
import pytest
from plotly.colors import get_colorscale

from app.shared.answers import _Filled
from app.shared.charts import Figure, finish
from app.shared.style import MARKER
from tests.app.drawn import checked

X = np.array([1, 2, 300])
Y = pd.Series([0.1, np.nan, 1e-30])
Z = np.arange(6.0).reshape(2, 3)


def ours() -> Figure:
    figure = Figure()
    figure.add_scatter(x=X, y=Y, name="ŵ", line={"color": "#0072B2"}, marker={"size": 3})
    figure.add_bar(x=["a", "b"], y=[1, 2], text=np.array(["one", "two"]))
    figure.add_heatmap(z=Z, colorscale="PuOr_r", colorbar={"title": "rank"})
    figure.add_vline(2.5, MARKER, "r = 2")
    figure.add_shape(type="rect", x0=0, x1=1, y0=0, y1=1)
    figure.update_xaxes(title="steps", range=[0, 4])
    figure.update_yaxes(type="log", minor={"dtick": "D1"})
    finish(figure, 300).update_layout(margin={"t": 20}, legend={"y": 1})
    return figure


def theirs() -> go.Figure:
    figure = go.Figure()
    figure.add_scatter(x=X, y=Y, name="ŵ", line={"color": "#0072B2"}, marker={"size": 3})
    figure.add_bar(x=["a", "b"], y=[1, 2], text=np.array(["one", "two"]))
    figure.add_heatmap(z=Z, colorscale=get_colorscale("PuOr_r"), colorbar={"title": "rank"})
    figure.add_vline(x=2.5, line=MARKER, annotation_text="r = 2", annotation_position="top right")
    figure.add_shape(type="rect", x0=0, x1=1, y0=0, y1=1)
    figure.update_xaxes(title="steps", range=[0, 4])
    figure.update_yaxes(type="log", minor_dtick="D1")
    return figure.update_layout(
        height=300,
        margin={"l": 8, "r": 8, "t": 20, "b": 8},
        legend={"orientation": "h", "y": 1, "x": 0},
        hovermode="x unified",
    )


def read(value: Any) -> Any:
    """Return what a browser reads: arrays in base64 as lists of numbers."""
    if isinstance(value, dict) and "bdata" in value:
        array = np.frombuffer(base64.b64decode(value["bdata"]), value["dtype"])
        shape = [int(side) for side in str(value.get("shape", -1)).split(",")]
        return [None if number != number else number for number in array.ravel().tolist()], shape
    if isinstance(value, dict):
        return {name: read(part) for name, part in value.items()}
    return [read(part) for part in value] if isinstance(value, list) else value


def sent(figure: go.Figure) -> Any:
    return read(json.loads(plotly.io.to_json(figure.to_dict(), validate=False)))


def test_the_browser_is_sent_what_plotly_would_send() -> None:
    assert sent(_Filled(ours())) == sent(theirs())


def test_plotly_knows_every_word() -> None:
    assert checked(ours()).layout.xaxis.title.text == "steps"
    wrong = Figure()
    wrong.add_scatter(x=[1], wide=3)
    with pytest.raises(ValueError, match="wide"):
        checked(wrong)


def test_a_constant_of_a_page_is_not_changed() -> None:
    legend = {"y": 1.0}
    figure = Figure()
    figure.update_layout(legend=legend)
    finish(figure, 300)
    assert legend == {"y": 1.0}
