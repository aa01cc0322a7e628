"""What the report says about rows of different lengths, where there are any."""

from dataclasses import replace

import pytest

from loadplan.report.findings import Findings
from loadplan.report.page import Text
from loadplan.report.sections.same_model import same_model_section


def said(known: Findings) -> str:
    section = same_model_section(known)
    assert section is not None
    return " ".join(block.text for block in section.blocks if isinstance(block, Text))


def with_lengths(known: Findings, *lengths: tuple[int, int], pads: bool) -> Findings:
    assert known.export is not None
    (model,) = known.export.models
    checks = tuple(replace(model.parity[0], shortest=shortest, longest=longest) for shortest, longest in lengths)
    return replace(known, export=replace(known.export, models=(replace(model, parity=checks, pads=pads),)))


@pytest.mark.parametrize(
    ("pads", "company"),
    [(True, "padded in batches of mixed lengths"), (False, "with rows of its own length, as it is served")],
)
def test_the_lengths_compared_and_their_company_are_named(findings: Findings, *, pads: bool, company: str) -> None:
    text = said(with_lengths(findings, (4, 1_200), (3, 900), pads=pads))
    assert f"rows of 3 to 1,200 positions: each alone at its own length, and {company} (measured)" in text


def test_nothing_is_said_of_lengths_where_rows_are_alike(findings: Findings) -> None:
    assert "positions" not in said(findings)
