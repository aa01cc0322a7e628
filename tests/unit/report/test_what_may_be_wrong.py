"""What the page says of earlier predictions, and of machines that are worth measuring."""

from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

from loadplan.cli.documents import fit_document, plan_document
from loadplan.cli.summary import fit_lines, plan_lines
from loadplan.fit.ledger import LedgerFigure, LedgerFindings
from loadplan.plan.records.fleet import WorthMeasuring
from loadplan.report.findings import Findings
from loadplan.report.page import Fold, Section, Table
from loadplan.report.sections.alternatives import alternatives_section
from loadplan.report.sections.cost_model import cost_model_section

WORTH = WorthMeasuring(
    type_name="aws/c7g.large",
    offer_name="aws/us-east-1/c7g.large/on_demand",
    chance_ratio=0.6,
    expected_saving_usd_per_month=Decimal("41.50"),
    best_usd_per_month=Decimal("100.00"),
    minutes=16,
    measuring_usd=Decimal("0.03"),
    command="loadplan profile SCENARIO --on aws/c7g.large",
    reason="a replica may carry 500 to 2,000 requests per second",
)
LEDGER = LedgerFindings(
    sha256="0123456789abcdef",
    figures=(
        LedgerFigure(quantile=0.5, n_entries=4, n_covered=4, bias_ratio=0.1, error_ratio=0.1, widening=1.0),
        LedgerFigure(quantile=0.99, n_entries=10, n_covered=7, bias_ratio=-0.2, error_ratio=0.3, widening=1.5),
    ),
)


def tables_of(section: Section | None) -> list[Table]:
    assert section is not None
    folded = [block for fold in section.blocks if isinstance(fold, Fold) for block in fold.blocks]
    return [block for block in (*section.blocks, *folded) if isinstance(block, Table)]


def test_the_page_the_screen_and_the_document_say_what_to_measure_next(findings: Findings) -> None:
    assert findings.plan is not None
    plan = replace(findings.plan, worth_measuring=(WORTH,))
    (table,) = (
        one for one in tables_of(alternatives_section(replace(findings, plan=plan))) if "measure next" in one.caption
    )
    (row,) = table.rows
    assert (row[0], row[2], row[-1]) == ("aws/c7g.large", "60 %", WORTH.command)
    assert "41.50" in row[1]
    (line,) = (line for line in plan_lines(plan) if line.startswith("measure"))
    assert "aws/c7g.large next: it is expected to save $41.50 a month and costs $0.03 once" in line
    (document,) = cast("list[dict[str, object]]", plan_document(plan)["worth_measuring"])
    assert (document["expected_saving_usd_per_month"], document["minutes"]) == ("41.50", 16)


def test_where_nothing_is_worth_measuring_nothing_is_said(findings: Findings) -> None:
    assert findings.plan is not None
    plan = replace(findings.plan, worth_measuring=())
    section = alternatives_section(replace(findings, plan=plan))
    assert not [one for one in tables_of(section) if "measure next" in one.caption]
    assert not [line for line in plan_lines(plan) if line.startswith("measure")]


def test_the_ledger_stands_beside_the_law_that_it_widened(findings: Findings) -> None:
    assert findings.fit is not None
    fit = replace(findings.fit, ledger=LEDGER)
    (table,) = (one for one in tables_of(cost_model_section(replace(findings, fit=fit))) if "ledger" in one.caption)
    assert table.rows == (("p50", "4", "100 %", "1.10", "1"), ("p99", "10", "70 %", "0.800", "1.50"))
    p50, p99 = (line for line in fit_lines(fit) if line.startswith("ledger"))
    assert "p50: 4 of 4 live runs within the interval, predicted 10% too long in the middle; not widened" in p50
    assert "p99: 7 of 10 live runs within the interval, predicted 20% too short in the middle; widened 1.5 times" in p99
    document = cast("dict[str, Any]", fit_document(fit)["ledger"])
    assert document["sha256"] == LEDGER.sha256
    assert [figure["coverage_ratio"] for figure in document["figures"]] == [1.0, 0.7]
    assert fit_document(findings.fit)["ledger"] is None
