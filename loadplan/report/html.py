"""The page: one self-contained HTML file that opens with the network off."""

from html import escape

from loadplan.report.findings import Findings, Provenance


def render_report(known: Findings, provenance: Provenance) -> str:
    """The report of whatever a run found, byte-identical for the same findings."""
    name = escape(known.scenario.name)
    said = escape(provenance.failure or "")
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title><h1>{name}</h1><p>{said}</p>\n'
