"""What the report says of likeness, quality and cost beside the usual: lengths, order, weights without proof."""

from dataclasses import replace
from typing import Any

import pytest

from loadplan.export.artifact import ExportedModel, ModelCost, OpeningTime, SegmentQuality, Sensitivity
from loadplan.report.findings import Findings
from loadplan.report.page import Table, Text
from loadplan.report.sections.same_model import same_model_section
from loadplan.scenario.spec import ParityLimits, QualityMetric


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


def changed(known: Findings, **fields: Any) -> Findings:
    assert known.export is not None
    (model,) = known.export.models
    changed_model: ExportedModel = replace(model, **fields)
    return replace(known, export=replace(known.export, models=(changed_model,)))


def rows_of(known: Findings, caption: str) -> tuple[tuple[str, ...], ...]:
    section = same_model_section(known)
    assert section is not None
    (table,) = (block for block in section.blocks if isinstance(block, Table) and block.caption.startswith(caption))
    return table.rows


def test_weights_that_no_row_tells_of_are_named(findings: Findings) -> None:
    some = Sensitivity(n_rows=512, n_weights=9, n_examined=8, unproved=("tower.bias", "table.3"))
    text = said(changed(findings, sensitivity=some))
    assert (
        "Of 9 weight tensors of fp32, 8 were looked at: scaling 2 of them by 1.01 changes no answer to 512 rows" in text
    )
    assert "nothing is known of tower.bias, table.3 (measured)" in text
    every = Sensitivity(n_rows=450, n_weights=6, n_examined=6, unproved=())
    assert "every one that was looked at changes an answer" in said(changed(findings, sensitivity=every))


def test_files_and_costs_stand_side_by_side(findings: Findings) -> None:
    costs = tuple(
        ModelCost(
            batch_size=batch_size,
            n_positions=17,
            flops_per_row=1000.0,
            weight_bytes=4000,
            activation_bytes_per_row=100.0,
            unknown_operators=("Einsum",),
        )
        for batch_size in (1, 8, 32)
    )
    opening = OpeningTime(n_samples=5, median_s=0.0123, low_s=0.011, high_s=0.02)
    known = changed(findings, costs=costs, opening=opening)
    assert rows_of(known, "Files") == (("fp32", "12,345", "1,000", "21", "12.3", "11 to 20", "5"),)
    # 1,000 of 4,100 bytes; 32,000 of 4,000 + 32 · 100.
    assert rows_of(known, "What an inference asks of a machine (counted on the graph, for rows of 17 positions") == (
        ("fp32", "1", "1,000", "4,000", "100", "0.244"),
        ("fp32", "32", "1,000", "4,000", "100", "4.44"),
    )
    assert "Not counted of fp32, since loadplan doesn't know their arithmetic: Einsum." in said(known)


def test_a_cost_that_is_not_known_is_said_with_its_reason(findings: Findings) -> None:
    assert "What an inference of fp32 costs isn't known: no kernel." in said(
        changed(findings, costs_unknown="no kernel")
    )


def test_the_order_of_a_lossy_ranker_stands_beside_its_direction(findings: Findings) -> None:
    limits = ParityLimits(max_abs_error=None, top1_agreement_ratio=0.99, min_cosine=0.99, min_rank_correlation=0.98)
    assert findings.export is not None
    check = findings.export.models[0].parity[0]
    checks = tuple(
        replace(check, top1_agreement_ratio=None, rank_correlation=correlation) for correlation in (0.995, 0.985)
    )
    text = said(changed(findings, limits=limits, parity=checks))
    assert "rank correlation 0.98500 where 0.98 is" in text


@pytest.mark.parametrize(
    ("metric", "value", "source_value", "sentence"),
    [
        (
            "auc",
            0.91,
            0.93,
            "its area under the ROC curve fell most in B: 0.9100 over 300 rows, the source model's 0.9300",
        ),
        ("auc", 0.93, 0.93, "no segment's area under the ROC curve fell; the lowest is B: 0.9300 over 300 rows"),
        ("ndcg", 0.5, 0.75, "its NDCG fell most in B: 0.5000"),
        ("mae", 2.5, 2.0, "its error grew most in B: 2.5"),
        ("auc", None, None, "auc isn't defined on its rows, so nothing is known of its quality"),
    ],
)
def test_quality_is_told_in_the_words_of_its_metric(
    findings: Findings, metric: QualityMetric, value: float | None, source_value: float | None, sentence: str
) -> None:
    part = SegmentQuality(
        segment="B",
        n_rows=300,
        metric=metric,
        value=value,
        source_value=source_value,
        drop_bound=None,
        verdict="not_judged",
    )
    known = changed(findings, quality=(part,))
    assert sentence in said(known)
    assert rows_of(known, f"fp32: {_NOUNS[metric]}")[0][5] == "not defined"


_NOUNS = {"auc": "area under the ROC curve", "mae": "mean absolute error", "ndcg": "NDCG"}
