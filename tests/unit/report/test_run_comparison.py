"""Two whole runs against each other: what changed in the answer, what each cause costs, what was measured otherwise."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from loadplan.cli.run_comparison import comparison_document, comparison_lines, comparison_markdown
from loadplan.cli.step_summary import append_step_summary
from loadplan.comparison import compare_runs, dearer
from loadplan.load.records import LoadRun
from loadplan.plan.records.fleet import Plan
from loadplan.report.findings import Findings

NAMES = ("before", "after")


def planned(
    known: Findings,
    *,
    n_replicas: int,
    usd_per_hour: str = "0.10",
    capacity_rps: float = 1000.0,
    peak_rps: float = 2400.0,
    n_spare: int = 1,
) -> Findings:
    """The run with a plan of so many replicas at 730 hours, a fifth kept free."""
    assert known.plan is not None
    assert known.plan.recommended is not None
    fleet, price = known.plan.recommended, Decimal(usd_per_hour)
    (item,) = fleet.items
    fleet = replace(
        fleet,
        items=(replace(item, offer=replace(item.offer, usd_per_hour=price), n_replicas=n_replicas),),
        capacity=replace(fleet.capacity, usable_capacity_rps_low=capacity_rps),
        usd_per_month=price * n_replicas * 730,
    )
    scenario = replace(
        known.scenario,
        traffic=replace(known.scenario.traffic, peak_rps=peak_rps),
        plan=replace(known.scenario.plan, n_spare_replicas=n_spare),
    )
    plan: Plan = replace(known.plan, recommended=fleet, peak_rps=peak_rps)
    return replace(known, scenario=scenario, plan=plan, bench=None)


@pytest.fixture
def before(findings: Findings) -> Findings:
    """2,400 over 800 is three, and a spare: $292.00."""
    return planned(findings, n_replicas=4)


def test_the_difference_of_the_bills_is_split_among_its_causes_to_the_cent(
    findings: Findings, before: Findings
) -> None:
    """4 x $0.02; then two more for 4,000 over 800; one more spare; then ten for 400, and two spares."""
    after = planned(findings, n_replicas=12, usd_per_hour="0.12", capacity_rps=500.0, peak_rps=4000.0, n_spare=2)
    found = compare_runs(before, after, names=NAMES)
    parts = {one.cause: one.usd_per_month for one in found.changes}
    assert parts == {
        "traffic": Decimal("175.20"),
        "rules": Decimal("87.60"),
        "price": Decimal("58.40"),
        "measurement": Decimal("438.00"),
    }
    assert found.usd_per_month_more == Decimal("759.20") == sum(parts.values())  # type: ignore[arg-type]
    failure = dearer(found)
    assert failure is not None
    assert (failure.exit_code, "$759.20 a month more" in failure.what) == (1, True)


def test_what_a_replica_carries_follows_from_the_model_where_that_changed(findings: Findings, before: Findings) -> None:
    assert before.export is not None
    other = replace(before.export, models=tuple(replace(one, sha256="cd" * 32) for one in before.export.models))
    after = replace(planned(findings, n_replicas=7, capacity_rps=500.0), export=other)
    found = compare_runs(before, after, names=NAMES)
    assert [(one.cause, one.what) for one in found.changes] == [
        ("model", "fp32 is another file"),
        ("model", "a replica carries 1,000 → 500 requests/s, which follows from model"),
    ]


def test_a_run_against_itself_changed_nothing(before: Findings) -> None:
    found = compare_runs(before, before, names=NAMES)
    assert found.changes == ()
    assert [one.difference for one in found.measured] == ["same", "same"]
    assert dearer(found) is None
    assert "nothing changed" in "\n".join(comparison_lines(found))


def test_a_plan_that_buys_nothing_any_more_is_dearer(before: Findings) -> None:
    assert before.plan is not None
    after = replace(before, plan=replace(before.plan, recommended=None, feasible=False))
    found = compare_runs(before, after, names=NAMES)
    assert (found.head.fleet, found.usd_per_month_more) == (None, None)
    assert dearer(found) is not None


def test_another_choice_is_told_with_the_reason_why_the_first_one_lost(findings: Findings) -> None:
    assert findings.plan is not None
    assert findings.plan.recommended is not None
    first, second = findings.plan.recommended, findings.plan.runners_up[0]
    lost = replace(first, reason="it costs more", usd_per_month=Decimal("999.00"))
    after = replace(findings, plan=replace(findings.plan, recommended=second, runners_up=(lost,)), bench=None)
    found = compare_runs(replace(findings, bench=None), after, names=NAMES)
    (change,) = found.changes
    assert (change.cause, change.usd_per_month) == ("choice", None)
    assert change.what.endswith("which would now cost $999.00: it costs more")


def test_a_price_that_made_the_choice_is_told_beside_it(findings: Findings) -> None:
    assert findings.plan is not None
    assert findings.plan.recommended is not None
    first, second = findings.plan.recommended, findings.plan.runners_up[0]
    (item,) = first.items
    offer = replace(item.offer, usd_per_hour=Decimal("9.99"))
    lost = replace(first, items=(replace(item, offer=offer),))
    after = replace(findings, plan=replace(findings.plan, recommended=second, runners_up=(lost,)))
    found = compare_runs(findings, after, names=NAMES)
    assert [one.cause for one in found.changes] == ["price", "choice"]
    assert found.changes[0].what == f"{offer.name} {item.offer.usd_per_hour} → 9.99 USD an hour"
    assert found.bench_absent == "both runs rest on the same benchmark"


def slower(run: LoadRun, ratio: float) -> LoadRun:
    log = run.requests
    return replace(run, requests=replace(log, done_s=log.due_s + ratio * (log.done_s - log.due_s)))


@pytest.mark.parametrize(("ratio", "difference"), [(1.0, "same"), (1.5, "higher"), (0.5, "lower")])
def test_live_runs_are_tested_on_the_means_of_their_batches(before: Findings, ratio: float, difference: str) -> None:
    assert before.verification is not None
    after = replace(before, verification=slower(before.verification, ratio))
    live = compare_runs(before, after, names=NAMES).measured[-1]
    assert live.difference == difference
    assert live.ratio == pytest.approx(ratio)


def test_live_runs_at_other_rates_are_not_compared(before: Findings) -> None:
    assert before.verification is not None
    run = before.verification
    after = replace(before, verification=replace(run, spec=replace(run.spec, offered_rate_rps=450.0)))
    live = compare_runs(before, after, names=NAMES).measured[-1]
    assert (live.difference, live.why) == ("not comparable", "they were driven at 900 and 450 requests/s")


@pytest.mark.parametrize(("low", "high", "difference"), [(1330.0, 1500.0, "higher"), (1300.0, 1500.0, "same")])
def test_capacities_differ_where_their_intervals_are_apart(
    before: Findings, low: float, high: float, difference: str
) -> None:
    """The first one's is 1,080 to 1,320."""
    assert before.fit is not None
    (capacity,) = before.fit.capacities
    other = replace(capacity, usable_capacity_rps=1400.0, usable_capacity_rps_low=low, usable_capacity_rps_high=high)
    after = replace(before, fit=replace(before.fit, capacities=(other,)))
    assert compare_runs(before, after, names=NAMES).measured[0].difference == difference


def test_the_summary_of_a_job_is_added_to_and_a_table_stays_a_table(
    before: Findings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = compare_runs(before, before, names=("a|b", "<script>"))
    markdown = comparison_markdown(found)
    assert "a\\|b" in markdown
    assert "<script>" not in markdown
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    append_step_summary(markdown)
    append_step_summary(markdown)
    assert (tmp_path / "summary.md").read_text().count("### loadplan compare") == 2


def test_the_document_says_why_a_part_of_the_bill_is_not_known(findings: Findings, before: Findings) -> None:
    assert before.export is not None
    other = replace(before.export, models=())
    found = compare_runs(before, replace(before, export=other), names=NAMES)
    (change,) = json.loads(json.dumps(comparison_document(found)))["changes"]
    assert change["usd_per_month"] is None
    assert change["usd_per_month_reason"]
