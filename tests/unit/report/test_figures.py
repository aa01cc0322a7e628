"""Drawings: what plotly.js is given, and that the bundle in the page can draw it."""

import base64
import gzip
import hashlib
import json
import re
from importlib import resources
from typing import Any

import numpy as np
import pytest

from loadplan.report.chart import DARK_HUES, LIGHT_HUES, Axis, Chart, Mark, Series
from loadplan.report.figures import N_POINTS_MOST, TRACE_TYPES, draw, swapped_colours

_VENDOR = resources.files("loadplan.report").joinpath("vendor")


def chart(*series: Series, marks: tuple[Mark, ...] = ()) -> Chart:
    return Chart(x=Axis(title="x"), y=Axis(title="y", scale="log"), series=series, marks=marks)


def drawn(given: Chart) -> dict[str, Any]:
    figure: dict[str, Any] = json.loads(draw(given))
    return figure


def numbers(packed: dict[str, str]) -> list[float]:
    return [float(value) for value in np.frombuffer(base64.b64decode(packed["bdata"]), dtype=packed["dtype"])]


def test_points_are_sent_as_typed_arrays_of_half_size() -> None:
    (trace,) = drawn(chart(Series(name="a", x=[1.0, 2.0], y=[3.0, 4.5])))["data"]
    assert trace["y"]["dtype"] == "f4"
    assert numbers(trace["y"]) == [3.0, 4.5]


def test_a_long_series_is_thinned_and_keeps_its_peak_and_its_valley() -> None:
    y = [1.0 + i % 7 for i in range(20_000)]
    y[12_345], y[4_321] = 99.0, 0.25
    (trace,) = drawn(chart(Series(name="a", x=list(range(20_000)), y=y)))["data"]
    kept = numbers(trace["y"])
    assert len(kept) <= N_POINTS_MOST
    assert (min(kept), max(kept)) == (0.25, 99.0)


def test_a_band_runs_along_the_high_end_and_back_along_the_low_end() -> None:
    band, _ = drawn(chart(Series(name="a", x=[1.0, 2.0], y=[3.0, 4.0], low=[2.0, 3.0], high=[5.0, 6.0])))["data"]
    assert numbers(band["x"]) == [1.0, 2.0, 2.0, 1.0]
    assert numbers(band["y"]) == [5.0, 6.0, 3.0, 2.0]


def test_whiskers_are_distances_from_the_point() -> None:
    series = Series(name="a", x=[1.0], y=[3.0], low=[2.0], high=[7.0], style="points")
    (trace,) = drawn(chart(series))["data"]
    assert numbers(trace["error_y"]["array"]) == [4.0]
    assert numbers(trace["error_y"]["arrayminus"]) == [1.0]


def test_a_limit_on_a_log_axis_stands_at_its_value_and_its_word_at_the_exponent() -> None:
    layout = drawn(chart(Series(name="a", x=[1.0], y=[3.0]), marks=(Mark(word="limit", y=100.0),)))["layout"]
    assert layout["shapes"][0]["y0"] == 100.0
    assert layout["annotations"][0]["y"] == 2.0


@pytest.mark.parametrize(
    ("uprights", "begins"),
    [((), 0.0), ((1.0, 2.0, 9.5), 0.2), ((6.0, 9.0), 0.0), ((0.0,), 0.0), ((9.0, 2.0, 3.0), 0.3)],
    ids=["none", "behind two", "before two", "at the edge", "in any order"],
)
def test_the_word_of_a_limit_stands_where_no_upright_mark_crosses_it(
    uprights: tuple[float, ...], begins: float
) -> None:
    """Of an axis from 0 to 10."""
    marks = (Mark(word="limit", y=2.0), *(Mark(word="rate", x=at) for at in uprights))
    layout = drawn(chart(Series(name="a", x=[0.0, 10.0], y=[1.0, 3.0]), marks=marks))["layout"]
    (limit,) = (one for one in layout["annotations"] if one["text"] == "limit")
    assert limit["x"] == pytest.approx(begins + 0.01)


def test_the_words_of_upright_marks_stand_where_nothing_is_drawn() -> None:
    """The curve rises from 1 to 100 on a log axis; a point that lies elsewhere says nothing of either place."""
    marks = (Mark(word="peak", x=2.0), Mark(word="usable capacity", x=9.0))
    curve = Series(name="a", x=[0.0, 2.0, 5.0, 9.0, 10.0], y=[1.0, 2.0, 3.0, 50.0, 100.0])
    point = Series(name="b", x=[6.0], y=[100.0])
    words = drawn(chart(curve, point, marks=marks))["layout"]["annotations"]
    assert [(one["text"], one["y"], one["yanchor"]) for one in words] == [
        ("peak", 1, "top"),
        ("usable capacity", 0, "bottom"),
    ]


def test_the_word_of_a_limit_of_a_single_point_has_a_place_too() -> None:
    marks = (Mark(word="limit", y=2.0), Mark(word="rate", x=5.0))
    assert drawn(chart(Series(name="a", x=[5.0], y=[1.0]), marks=marks))["layout"]["annotations"]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.5, 50.0, ["0.5", "1", "2", "5", "10", "20", "50"]),
        (0.001, 5_000.0, ["0.001", "0.01", "0.1", "1", "10", "100", "1,000"]),
        (944.0, 1_500.0, ["1,000", "1,200", "1,400"]),
    ],
    ids=["two decades", "many decades", "within one decade"],
)
def test_ticks_of_a_log_axis_are_round_and_few(low: float, high: float, ticks: list[str]) -> None:
    axis = drawn(chart(Series(name="a", x=[1.0, 2.0], y=[low, high])))["layout"]["yaxis"]
    assert axis["ticktext"] == ticks


def test_names_can_bring_no_tags_into_a_drawing() -> None:
    name = '<a href="x">b</a>\u202e'
    text = draw(chart(Series(name=name, x=[1.0], y=[1.0], labels=[name]), marks=(Mark(word=name, x=1.0),)))
    assert "<a" not in text
    assert "\\u202e" not in text.replace("\\\\u202e", "")


def test_a_drawing_carries_no_template_of_plotly() -> None:
    assert len(draw(chart(Series(name="a", x=[1.0], y=[1.0])))) < 3_000


def test_every_colour_of_a_drawing_is_swapped_on_a_dark_page() -> None:
    series = [
        Series(name=str(i), x=[1.0], y=[2.0], low=[1.0], high=[3.0], style=style, hue=i, is_hollow=True)
        for i in range(4)
        for style in ("line", "points", "step")
    ]
    text = draw(chart(*series, marks=(Mark(word="m", x=1.0),)))
    used = set(re.findall(r"#[0-9a-fA-F]{6}|rgba\([^)]*\)", text)) - {"rgba(0,0,0,0)"}
    assert used <= set(swapped_colours())


@pytest.mark.parametrize(("hues", "paper"), [(LIGHT_HUES, "#ffffff"), (DARK_HUES, "#14181d")], ids=["light", "dark"])
def test_hues_can_be_seen_on_their_page(hues: tuple[str, ...], paper: str) -> None:
    assert min(contrast(hue, paper) for hue in hues) >= 3.0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_colours_of_the_style_sheet_can_be_read(scheme: str) -> None:
    style = resources.files("loadplan.report").joinpath("template/page.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[0 if scheme == "light" else 1]))
    pairs = [(text, ground) for text in ("ink", "faint", "link") for ground in ("paper", "card")]
    pairs += [(tone, f"{tone}-wash") for tone in ("good", "bad", "doubt")]
    pairs += [("ink", "doubt-wash"), ("bad", "card"), ("bad", "paper")]
    assert {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in pairs if pair[0] in colours} != {}
    assert min(contrast(colours[text], colours[ground]) for text, ground in pairs) >= 4.5


def test_the_bundle_is_the_recorded_one_and_draws_every_kind_of_trace() -> None:
    record = json.loads(_VENDOR.joinpath("plotly-cartesian.json").read_text(encoding="utf-8"))
    script = gzip.decompress(_VENDOR.joinpath("plotly-cartesian.min.js.gz").read_bytes())
    assert hashlib.sha256(script).hexdigest() == record["sha256"]
    assert f"v{record['version']}".encode() in script[:200]
    assert b"Licensed under the MIT license" in script[:300]
    for kind in TRACE_TYPES:
        assert f'moduleType:"trace",name:"{kind}"'.encode() in script


def test_no_other_kind_of_trace_is_drawn() -> None:
    every_style = [
        Series(name=style, x=[1.0, 2.0], y=[1.0, 2.0], low=[1.0, 1.0], high=[3.0, 3.0], style=style)
        for style in ("line", "step", "points")
    ]
    given = Chart(x=Axis(title="x"), y=Axis(title="y"), series=tuple(every_style), has_diagonal=True)
    assert {trace["type"] for trace in drawn(given)["data"]} == set(TRACE_TYPES)


def test_the_bundle_speaks_the_language_of_the_installed_plotly() -> None:
    offline = pytest.importorskip("plotly.offline")
    record = json.loads(_VENDOR.joinpath("plotly-cartesian.json").read_text(encoding="utf-8"))
    installed: str = offline.get_plotlyjs_version()
    assert installed.split(".", maxsplit=1)[0] == record["version"].split(".")[0], "run tools/renew_plotly_bundle.py"


def contrast(one: str, other: str) -> float:
    """Of two colours, by WCAG 2: (lighter + 0.05) / (darker + 0.05)."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
