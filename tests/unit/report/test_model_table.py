"""The table of docs/models.md holds what the run folders hold."""

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from loadplan.export.artifact import OpeningTime
from loadplan.report.findings import Findings
from loadplan.scenario.spec import ModelSource

TOOL = Path(__file__).parents[3] / "tools" / "model_table.py"


@pytest.fixture
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("model_table", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def known(findings: Findings) -> Findings:
    source = ModelSource(kind="sklearn", factory="a:b", folder="", variants=("fp32",), parity={})
    assert findings.scenario is not None
    assert findings.export is not None
    (model,) = findings.export.models
    opening = OpeningTime(n_samples=5, median_s=0.0123, low_s=0.01, high_s=0.02)
    return replace(
        findings,
        scenario=replace(findings.scenario, model=source),
        export=replace(findings.export, models=(replace(model, opening=opening),)),
    )


def test_each_variant_is_a_row_and_a_refused_one_says_why(tool: ModuleType, known: Findings) -> None:
    header, rule, fp32, refused = tool.table([known])
    assert header.count("|") == rule.count("|") == fp32.count("|") == refused.count("|")
    # One thread: a median of 98 % of 125 µs, and of 300 µs for 8 rows, whose mean gives 26,667 rows/s.
    assert fp32 == (
        "| sklearn | digits (MLPClassifier) | fp32 | 12,345 | 3.0e-07 | top-1 100 % | 12.3 | 0.122 | 0.294 for 8 "
        "| 26,667 | 5,000 and 5,000 |"
    )
    assert refused.startswith("| sklearn | digits (MLPClassifier) | int8_static | refused: 0.8 of the rows")


def test_what_ranks_keeps_direction_and_order(tool: ModuleType, known: Findings) -> None:
    assert known.export is not None
    (model,) = known.export.models
    checks = tuple(
        replace(model.parity[0], top1_agreement_ratio=None, min_cosine=cosine, rank_correlation=rank)
        for cosine, rank in ((0.9995, 0.98), (0.999, 0.99))
    )
    ranker = replace(known, export=replace(known.export, models=(replace(model, parity=checks),)))
    assert "| cosine 0.99900, rank 0.98000 |" in tool.table([ranker])[2]


def test_a_run_without_a_benchmark_says_so(tool: ModuleType, known: Findings) -> None:
    assert "| not measured |" in tool.table([replace(known, bench=None)])[2]
