"""The page: one self-contained HTML file that opens with the network off.

The answer, the tables and the doubts are plain HTML and need no script; the figures are drawn by one script from data
in the page. The decision a reader would question: the page forbids itself everything but its own style and scripts
(`assets`), so that no name in a scenario and no viewer can make it fetch or run anything else.
"""

import base64
import json
import re
from collections.abc import Iterable
from functools import cache

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from loadplan.report.answer import answer_of
from loadplan.report.assets import Carry, beside, own, scripts_of_page, template, within
from loadplan.report.chart import Chart
from loadplan.report.doubts import doubts_of, doubts_section
from loadplan.report.figures import draw, swapped_colours
from loadplan.report.findings import Findings, Provenance
from loadplan.report.page import Figure, Section, Table, number, text
from loadplan.report.sections.alternatives import alternatives_section
from loadplan.report.sections.checking import (
    assumptions_section,
    checking_section,
    glossary_section,
    not_offered_section,
    question_section,
)
from loadplan.report.sections.cluster import cluster_section
from loadplan.report.sections.cost_model import cost_model_section
from loadplan.report.sections.holding import holding_section
from loadplan.report.sections.live_run import live_run_section
from loadplan.report.sections.measured import measured_section
from loadplan.report.sections.money import money_section
from loadplan.report.sections.other_ways import other_ways_section
from loadplan.report.sections.outlook import outlook_section
from loadplan.report.sections.paying import paying_section
from loadplan.report.sections.same_model import same_model_section
from loadplan.report.sections.scaling import scaling_section
from loadplan.report.sections.time_parts import time_section
from loadplan.report.view import digits, plain

PAGE = "report.html"
N_WEAK_POINTS = 3
_BACK_QUOTED = re.compile(r"`([^`]+)`")


def render_report(known: Findings, provenance: Provenance) -> str:
    """The report of whatever a run found as one file, byte-identical for the same findings."""
    return _pages(known, provenance, within)[PAGE]


def render_split_report(known: Findings, provenance: Provenance) -> dict[str, str]:
    """The same report with its style and scripts in files of their own: the text of each file, by name."""
    return _pages(known, provenance, beside)


def _pages(known: Findings, provenance: Provenance, carry: Carry) -> dict[str, str]:
    doubts = doubts_of(known)
    sections = [section for section in (doubts_section(doubts), *_sections(known, provenance)) if section is not None]
    figures = [block for section in sections for block in section.blocks if isinstance(block, Figure)]
    assets = carry(scripts_of_page(len(figures)))
    page = (
        _environment()
        .from_string(template("page.html.jinja"))
        .render(
            name=known.scenario.name,
            provenance=provenance,
            oldest_price=known.plan.oldest_price_date if known.plan else None,
            answer=answer_of(known, provenance),
            weak_points=doubts[:N_WEAK_POINTS],
            n_doubts=len(doubts),
            sections=sections,
            drawings=[(figure.name, _json(draw(figure.chart))) for figure in figures],
            colours=_json(json.dumps(swapped_colours())),
            assets=assets,
        )
    )
    return {PAGE: page, **assets.files}


def chart_table(chart: Chart) -> Table:
    """The numbers of a chart, for whoever can't see it."""
    has_labels = any(series.labels for series in chart.series)
    has_interval = any(series.low is not None for series in chart.series)
    return Table(
        caption="",
        columns=(
            text("series"),
            *((text("point"),) if has_labels else ()),
            number(chart.x.title),
            number(chart.y.title),
            *((number("low"), number("high")) if has_interval else ()),
        ),
        rows=tuple(_chart_rows(chart, has_labels=has_labels, has_interval=has_interval)),
    )


def _chart_rows(chart: Chart, *, has_labels: bool, has_interval: bool) -> Iterable[tuple[str, ...]]:
    for series in chart.series:
        for i, (x, y) in enumerate(zip(series.x, series.y, strict=True)):
            label = (series.labels[i] if series.labels else "",) if has_labels else ()
            ends = ("–", "–")
            if series.low is not None and series.high is not None:
                ends = (digits(series.low[i]), digits(series.high[i]))
            yield (series.name, *label, digits(x), digits(y), *(ends if has_interval else ()))


def _sections(known: Findings, provenance: Provenance) -> Iterable[Section | None]:
    yield alternatives_section(known)
    yield cluster_section(known)
    yield holding_section(known)
    yield time_section(known)
    yield money_section(known, provenance)
    yield paying_section(known)
    yield scaling_section(known)
    yield other_ways_section(known)
    yield outlook_section(known)
    yield measured_section(known)
    yield live_run_section(known)
    yield cost_model_section(known)
    yield same_model_section(known)
    yield not_offered_section(known)
    yield assumptions_section(known)
    yield question_section(known)
    yield checking_section(known, provenance)
    yield glossary_section()


@cache
def _environment() -> Environment:
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_shown,
    )
    environment.filters["chart_table"] = chart_table
    environment.filters["prose"] = _prose
    environment.filters["data_link"] = _data_link
    return environment


def _prose(text: str) -> Markup:
    """A sentence in which `commands` between back quotes are set as code."""
    return Markup(_BACK_QUOTED.sub(r"<code>\1</code>", str(escape(plain(text)))))  # noqa: S704 -- escaped before


def _shown(value: object) -> object:
    """Whatever is put into the page, with hidden characters written out; the page's own parts are left alone."""
    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _json(text: str) -> Markup:
    """JSON inside a script element: with its angle brackets escaped no text in it can end the element."""
    return own(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _data_link(text: str, media_type: str) -> str:
    return f"data:{media_type};charset=utf-8;base64,{base64.b64encode(text.encode()).decode()}"
