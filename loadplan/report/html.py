"""The page: one self-contained HTML file that opens with the network off.

The answer, the tables and the doubts are plain HTML and need no script; the figures are drawn by one script from data
in the page. The decision a reader would question: the page forbids itself everything but its own style and scripts
(`assets`), so that no name in a scenario and no viewer can make it fetch or run anything else.
"""

import base64
import json
import re
from functools import cache

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from loadplan.report.answer import answer_of
from loadplan.report.assets import Carry, beside, own, scripts_of_page, template, within
from loadplan.report.budget_answer import budget_answer_of
from loadplan.report.chapters import blocks_of, chapters_of
from loadplan.report.chart_table import chart_table
from loadplan.report.doubts import doubts_of
from loadplan.report.figures import draw, swapped_colours
from loadplan.report.findings import Findings, Provenance
from loadplan.report.page import Audience, Figure
from loadplan.report.view import plain

PAGE = "report.html"
N_WEAK_POINTS = 3
_BACK_QUOTED = re.compile(r"`([^`]+)`")


def render_report(known: Findings, provenance: Provenance, *, audience: Audience = "engineer") -> str:
    """The report of whatever a run found as one file, byte-identical for the same findings."""
    return _pages(known, provenance, within, audience)[PAGE]


def render_split_report(known: Findings, provenance: Provenance) -> dict[str, str]:
    """The same report with its style and scripts in files of their own: the text of each file, by name."""
    return _pages(known, provenance, beside, "engineer")


def _pages(known: Findings, provenance: Provenance, carry: Carry, audience: Audience) -> dict[str, str]:
    doubts = doubts_of(known)
    chapters = chapters_of(known, provenance, doubts, audience=audience)
    figures = [block for block in blocks_of(chapters) if isinstance(block, Figure)]
    assets = carry(scripts_of_page(len(figures)))
    answer = answer_of(known, provenance) if audience == "engineer" else budget_answer_of(known, provenance)
    page = (
        _environment()
        .from_string(template("page.html.jinja"))
        .render(
            name=known.scenario.name,
            provenance=provenance,
            oldest_price=known.plan.oldest_price_date if known.plan else None,
            answer=answer,
            weak_points=doubts[:N_WEAK_POINTS],
            n_doubts=len(doubts),
            chapters=chapters,
            drawings=[(figure.name, _json(draw(figure.chart))) for figure in figures],
            colours=_json(json.dumps(swapped_colours())),
            assets=assets,
        )
    )
    return {PAGE: page, **assets.files}


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
