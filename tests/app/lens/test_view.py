"""What linked_view packs for the browser, parsed back."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from streamlit.testing.v1 import AppTest

from app.lens.half import to_half
from app.lens.view import Content, Panel, Rebuilt, pack

LUTS = {
    name: bytes(range(256)) * 3 if name == "values" else bytes([k]) * 768
    for k, name in enumerate(("values", "signed", "absolute"))
}


def content(**changes: Any) -> Content:
    rng = np.random.default_rng(0)
    shape = changes.get("target", np.zeros((6, 8))).shape
    base: dict[str, Any] = {
        "target": rng.random(shape),
        "value_range": (0.0, 1.0),
        "panels": [
            Panel("global", "global", "error 0.1", "#0072B2", rng.normal(size=shape)),
            Panel("diagonal", "diagonal", "", "#E69F00", None, message="not square"),
            Panel(
                "localized", "localized", "é", "#009E73", rng.normal(size=shape) * 1e-9,
                rng.random((2, 4)), best=True,
            ),
        ],
        "view": "signed",
        "limit": 0.5,
        "block_limit": 0.25,
        "row_edges": (0, 3, 6),
        "col_edges": (0, 2, 4, 6, 8),
        "show_grid": True,
        "show_block_errors": False,
        "selected": (1, 2),
        "image": False,
        "luts": LUTS,
    }  # fmt: skip
    return Content(**(base | changes))  # type: ignore[typeddict-item]


def parse(data: bytes) -> tuple[dict[str, Any], Any]:
    length = int.from_bytes(data[:4], "little")
    header = json.loads(data[4 : 4 + length])
    start = -(-(4 + length) // 8) * 8

    def read(entry: dict[str, Any]) -> np.ndarray:
        assert entry["offset"] % 8 == 0
        count = int(np.prod(entry["shape"]))
        values = np.frombuffer(data, "<" + entry["dtype"], count, start + entry["offset"])
        return values.reshape(entry["shape"])

    return header, read


@pytest.mark.parametrize("shape", [(6, 8), (6, 8, 3)])
def test_round_trip(shape: tuple[int, ...]) -> None:
    sent = content(target=np.random.default_rng(1).random(shape))
    header, read = parse(pack(sent, picks=7))
    np.testing.assert_array_equal(read(header["target"]), sent["target"].astype(np.float32))
    for panel, entry in zip(sent["panels"], header["panels"], strict=True):
        for word in ("name", "title", "subtitle", "colour", "dash", "message", "best"):
            assert entry[word] == getattr(panel, word)
        assert ("error" in entry) == (panel.error is not None)
        if panel.error is not None:
            found = np.ldexp(read(entry["error"]).astype(float), entry["error"]["exponent"])
            np.testing.assert_allclose(found, panel.error, rtol=2**-10.9, atol=0)
        assert ("blockErrors" in entry) == (panel.block_errors is not None)
        if panel.block_errors is not None:
            expected = panel.block_errors.astype(np.float32)
            np.testing.assert_array_equal(read(entry["blockErrors"]), expected)
    for name, table in LUTS.items():
        assert read(header["luts"][name]).tobytes() == table
    assert header["valueRange"] == [0, 1]
    assert header["limit"] == 0.5
    assert header["blockLimit"] == 0.25
    assert header["rowEdges"] == [0, 3, 6]
    assert header["colEdges"] == [0, 2, 4, 6, 8]
    assert header["selected"] == [1, 2]
    assert header["picks"] == 7
    assert header["view"] == "signed"
    assert [header[k] for k in ("image", "showGrid", "showBlockErrors")] == [False, True, False]


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float64, (3, 5), elements=st.floats(-1, 1)),
    st.integers(-300, 300),
)
def test_half_keeps_what_it_promises(values: np.ndarray, shift: int) -> None:
    values = np.ldexp(values, shift)
    half, exponent = to_half(values)
    found = np.ldexp(half.astype(float), exponent)
    largest = np.abs(values).max()
    if largest < 2.0**-700:  # np.ldexp reaches subnormal float64
        return
    allowed = np.where(np.abs(values) >= largest * 2.0**-27, np.abs(values) * 2**-10.99, 0)
    assert (np.abs(found - values) <= np.maximum(allowed, largest * 2.0**-28 * 1.001)).all()
    assert np.abs(half).max() <= 2**14


def test_half_equals_numpys_where_it_is_normal() -> None:
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(64, 64)) * 10.0 ** -rng.integers(0, 7, (64, 64))).astype(np.float32)
    half, exponent = to_half(values)
    scaled = np.ldexp(values, -exponent)
    normal = np.abs(scaled) >= 2**-14
    np.testing.assert_array_equal(half[normal], scaled.astype(np.float16)[normal])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8])
def test_every_real_type_and_any_memory_order(dtype: type) -> None:
    values: np.ndarray = np.arange(48).reshape(8, 6).astype(dtype).T
    panels = [Panel("global", "global", "", "#0072B2", values)]
    header, read = parse(pack(content(target=values, panels=panels)))
    np.testing.assert_array_equal(read(header["target"]), values.astype(np.float32))
    entry = header["panels"][0]["error"]
    found = np.ldexp(read(entry).astype(float), entry["exponent"])
    np.testing.assert_array_equal(found, values.astype(float))


def test_exact_residual_is_zero_and_scale_may_be_empty() -> None:
    zero = np.zeros((6, 8))
    panels = [Panel("global", "global", "", "#0072B2", zero)]
    header, read = parse(pack(content(panels=panels, limit=0, value_range=(0.0, 0.0))))
    assert not read(header["panels"][0]["error"]).any()
    assert header["panels"][0]["error"]["exponent"] == 0


def test_tokens_follow_what_they_stand_for() -> None:
    first, _ = parse(pack(content()))
    again, _ = parse(pack(content()))
    moved, _ = parse(pack(content(selected=(0, 0))))
    scaled = content()
    scaled["panels"] = [
        replace(panel, error=None if panel.error is None else 2 * panel.error)
        for panel in scaled["panels"]
    ]
    doubled, _ = parse(pack(scaled))
    assert first == again
    assert first["arraysToken"] == moved["arraysToken"]
    assert first["token"] != moved["token"]
    assert first["arraysToken"] != doubled["arraysToken"]


STOPS = [{"label": f"{k}×{k}", "rows": k, "cols": k, "factors": f"t{k}"} for k in (1, 2)]
BUDGET = {
    "rank": 32, "lowest": 1, "highest": 256, "label": "r", "parameters": 14,
    "grid": "2×2", "grid_label": "Blocks", "stops": STOPS,
}  # fmt: skip


def test_the_handle_is_told_what_it_takes_into_account() -> None:
    header, _ = parse(pack(content(budget=BUDGET), releases=3, cuts=2))
    assert header["budget"] == BUDGET | {"releases": 3, "cuts": 2}
    without, _ = parse(pack(content()))
    assert without["budget"] is None
    moved, _ = parse(pack(content(budget=BUDGET | {"rank": 33})))
    assert moved["token"] != header["token"]
    assert moved["arraysToken"] == header["arraysToken"]


def test_what_the_browser_builds_by_itself_is_not_sent() -> None:
    shown: dict[str, Any] = {
        "target": np.random.default_rng(1).random((600, 800)),
        "row_edges": (0, 300, 600),
        "col_edges": (0, 200, 400, 600, 800),
        "rebuilt": Rebuilt({"global", "localized"}, "t2"),
    }
    whole = pack(content(**shown | {"rebuilt": None}, budget=BUDGET))
    sent = pack(content(**shown, budget=BUDGET))
    header, _ = parse(sent)
    assert header["rebuild"] == {"factors": "t2", "rank": 32}
    assert [panel.get("rebuilt") for panel in header["panels"]] == [True, False, True]
    assert not any("error" in panel for panel in header["panels"])
    assert header["target"] == {"shape": [600, 800]}
    full, _ = parse(whole)
    # What names the target for the browser.
    assert header["budget"]["stops"][0] == full["budget"]["stops"][0] == STOPS[0]
    assert [p.get("blockErrors") for p in full["panels"]][2]["shape"] == [2, 4]
    assert len(sent) < len(whole) / 100
    other = content(**shown, budget={**BUDGET, "rank": 33})
    assert parse(pack(other))[0]["arraysToken"] != header["arraysToken"]
    # A family that is searched for has no factors.
    searched, read = parse(
        pack(content(**shown | {"rebuilt": Rebuilt({"global"}, "t2")}, budget=BUDGET))
    )
    assert read(searched["panels"][2]["error"]).shape == (600, 800)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"budget": BUDGET | {"rank": 0}}, "rank is 0; allowed are 1 to 256"),
        ({"budget": BUDGET | {"rank": 257}}, "rank is 257; allowed are 1 to 256"),
        ({"budget": BUDGET | {"grid": "3×3"}}, "grid is 3×3; it must be one of the stops"),
        ({"target": np.zeros((6, 8, 4))}, r"target has shape \(6, 8, 4\)"),
        ({"target": np.zeros(6)}, r"target has shape \(6,\)"),
        ({"target": np.zeros((0, 8))}, r"target has shape \(0, 8\)"),
        ({"target": np.full((6, 8), np.nan)}, "target has entries that are not finite"),
        ({"target": np.full((6, 8), 1e300)}, "target as float32 has entries that are not finite"),
        ({"row_edges": (0, 3, 7)}, r"row_edges must rise from 0 to 6, got \[0, 3, 7\]"),
        ({"col_edges": (0, 4, 4, 8)}, "col_edges must rise"),
        ({"col_edges": ()}, "col_edges must rise"),
        ({"selected": (2, 0)}, r"selected is \(2, 0\); the grid has 2 × 4 blocks"),
        ({"view": "error"}, "view is 'error'; allowed are reconstruction"),
        ({"view": "blocks"}, "view 'blocks' needs block_errors of global"),
        ({"limit": -1.0}, "limit is -1.0"),
        ({"block_limit": float("inf")}, "block_limit is inf"),
        ({"value_range": (1.0, 0.0)}, "value_range is"),
        ({"luts": LUTS | {"signed": b"123"}}, r"luts\['signed'\] has shape \(3,\)"),
        (
            {"panels": [Panel("global", "", "", "", np.zeros((8, 6)))]},
            r"error of global has shape \(8, 6\); allowed is \(6, 8\)",
        ),
        (
            {"panels": [Panel("global", "", "", "", np.zeros((6, 8)), np.zeros((8, 8)))]},
            r"block_errors of global has shape \(8, 8\); allowed is \(2, 4\)",
        ),
    ],
)
def test_bad_input_is_named(changes: dict[str, Any], words: str) -> None:
    base = content()
    with pytest.raises(ValueError, match=words):
        pack(Content(**(base | changes)))  # type: ignore[typeddict-item]


@pytest.mark.parametrize("target", [np.zeros((6, 8), complex), np.zeros((6, 8), object), [[1.0]]])
def test_what_is_no_real_array_is_a_type_error(target: Any) -> None:
    base = content()
    with pytest.raises(TypeError, match="target must be a real NumPy array"):
        pack(Content(**(base | {"target": target})))  # type: ignore[typeddict-item]


def test_mounts_in_a_script_without_a_pick() -> None:
    def script() -> None:
        import numpy as np
        import streamlit as st

        from app.lens.view import Panel, linked_view

        result = linked_view(
            key="pictures",
            on_pick=lambda: None,
            target=np.zeros((4, 4)),
            value_range=(0.0, 1.0),
            panels=[Panel("global", "global", "", "#0072B2", np.zeros((4, 4)))],
            view="signed",
            limit=1.0,
            block_limit=1.0,
            row_edges=(0, 4),
            col_edges=(0, 4),
            show_grid=False,
            show_block_errors=False,
            selected=None,
            image=False,
            luts={name: bytes(768) for name in ("values", "signed", "absolute")},
        )
        st.write(f"block is {result.block}")

    app = AppTest.from_function(script).run()
    assert not app.exception
    assert app.markdown[0].value == "block is None"
