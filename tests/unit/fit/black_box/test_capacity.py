"""What a known service is said to carry, against Lindley's recursion, and what rows do to it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from loadplan.fit.black_box.capacity import SAFE_RATIO, capacity_at_measured_rates, service_capacity
from loadplan.fit.black_box.doubt import structure_doubt
from loadplan.fit.black_box.fit import fit_service
from loadplan.fit.black_box.predict import predict_service, predict_service_run
from loadplan.fit.black_box.records import Asked, RowsSeen, ServiceCapacity, ServiceFit
from loadplan.fit.black_box.structures import ServiceLaw
from loadplan.load.records import LoadRun, LoadSpec
from loadplan.scenario.arrivals import GammaArrivals, PoissonArrivals
from loadplan.scenario.outside import ConstantDelay
from loadplan.scenario.rows_law import always
from loadplan.scenario.spec import RequestClass, RowsPerRequest
from loadplan.slo import LatencyLimit, Slo
from loadplan.store.codec import read_record, write_record
from tests.unit.fit.black_box.conftest import Answer, DriveAll, MakeLaw
from tests.unit.fit.conftest import MACHINE

POISSON = PoissonArrivals()


def slo(limit_s: float, *, quantile: float = 0.99, class_name: str | None = None) -> Slo:
    return Slo(limits=(LatencyLimit(quantile=quantile, limit_s=limit_s),), class_name=class_name)


def known(law: ServiceLaw, *, rows: RowsSeen | None = None) -> ServiceFit:
    """A fit that knows the law."""
    return ServiceFit(
        machine=MACHINE,
        laws=(law,),
        plausible=(),
        n_at_once=40,
        rows=rows or RowsSeen(mean=1.0, most=1),
        counted_s=None,
        residuals=(),
        seed=1,
        caveats=(),
    )


def lindley_p99_s(work_s: NDArray[np.float64], gaps_s: NDArray[np.float64]) -> float:
    """Of a queue in order: W' = max(W + S - A, 0), by the running minimum of the sums."""
    sums = np.concatenate([[0.0], np.cumsum(work_s[:-1] - gaps_s[1:])])
    waits_s = sums - np.minimum.accumulate(sums)
    return float(np.quantile(waits_s + work_s, 0.99))


def test_a_queue_in_order_carries_what_lindley_s_recursion_says(make_law: MakeLaw) -> None:
    law = replace(make_law(sharing="first_come", request_s=4e-3, cpu_cv=1e-6), delays_s=(0.0,))
    objective = slo(20e-3)
    capacity = service_capacity(known(law), Asked(arrivals=POISSON), [objective])
    rng = np.random.default_rng(77)
    gaps_s, work_s = rng.standard_exponential(2_000_000), np.full(2_000_000, 4e-3)
    found_rps = capacity.usable_capacity_rps / SAFE_RATIO
    assert (
        lindley_p99_s(work_s, gaps_s / (0.98 * found_rps)) < 20e-3 < lindley_p99_s(work_s, gaps_s / (1.02 * found_rps))
    )
    assert capacity.saturated_rps == pytest.approx(250.0)
    assert capacity.basis == "measured"


def test_what_is_told_is_on_the_safe_side_and_its_curve_ends_there(make_law: MakeLaw) -> None:
    capacity = service_capacity(known(make_law()), Asked(arrivals=POISSON), [slo(80e-3)])
    end = capacity.curve[-1]
    assert end.offered_rate_rps == pytest.approx(capacity.usable_capacity_rps)
    assert end.p99_s < 80e-3
    assert capacity.usable_capacity_rps_low <= capacity.usable_capacity_rps <= capacity.usable_capacity_rps_high
    assert capacity.binding is not None
    assert capacity.binding.limit == LatencyLimit(quantile=0.99, limit_s=80e-3)


def test_bursts_are_dearer_than_poisson(make_law: MakeLaw) -> None:
    poisson, bursty = (
        service_capacity(known(make_law()), Asked(arrivals=arrivals), [slo(80e-3)]).usable_capacity_rps
        for arrivals in (POISSON, GammaArrivals(cv=2.0))
    )
    assert bursty < 0.9 * poisson


def test_an_objective_below_an_idle_wait_is_met_at_no_rate_and_the_idle_wait_is_told(make_law: MakeLaw) -> None:
    capacity = service_capacity(known(make_law()), Asked(arrivals=POISSON), [slo(20e-3)])
    assert capacity.usable_capacity_rps == 0.0
    (idle,) = capacity.curve
    # Lognormal waits of 20 ms and s = 0.4 have their p99 at 20 ms e^(0.4 · 2.326) = 50.7 ms, and 3 ms of work follow.
    assert idle.p99_s == pytest.approx(53.7e-3, rel=0.05)
    assert capacity.unscaled_most_s == pytest.approx(50.7e-3, rel=0.05)


def test_what_lies_outside_is_added(make_law: MakeLaw) -> None:
    fit = known(make_law())
    at_server = predict_service(fit, Asked(arrivals=POISSON), rate_rps=100.0)
    at_caller = predict_service(fit, Asked(arrivals=POISSON, outside=ConstantDelay(delay_s=10e-3)), rate_rps=100.0)
    assert at_caller.p50_s - at_server.p50_s == pytest.approx(10e-3, rel=1e-6)


def test_a_fit_and_a_capacity_are_kept_and_read_without_loss(make_law: MakeLaw, tmp_path: Path) -> None:
    fit = known(make_law(n_slots=5))
    capacity = service_capacity(fit, Asked(arrivals=POISSON), [slo(20e-3)])
    write_record(tmp_path / "fit.json", fit, schema="test/1")
    write_record(tmp_path / "capacity.json", capacity, schema="test/1")
    assert read_record(tmp_path / "fit.json", ServiceFit, schema="test/1") == fit
    assert read_record(tmp_path / "capacity.json", ServiceCapacity, schema="test/1") == capacity


# Rows


def rows_drawn(n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """1 to 400, as likely each."""
    return rng.integers(1, 401, n)


def mean_only(law: ServiceLaw) -> ServiceLaw:
    """The same service, if every request had the mean of the rows."""
    return replace(law, request_s=law.request_s + law.row_s * 200.5, row_s=0.0)


MANY_AND_FEW = (
    RequestClass(name="few", share=0.9, rows_per_request=always(20)),
    RequestClass(name="many", share=0.1, rows_per_request=always(400)),
)


def test_planning_on_the_mean_of_the_rows_misses_what_the_law_of_the_rows_says(make_law: MakeLaw) -> None:
    law = make_law(request_s=0.5e-3, row_s=15e-6, delay_s=5e-3, cpu_cv=0.1)
    rows = RowsPerRequest(mean=60.0, p95=200.0, most=400)
    fit = known(law, rows=RowsSeen(mean=60.0, most=400))
    by_law = service_capacity(fit, Asked(arrivals=POISSON, rows_per_request=rows), [slo(25e-3)])
    by_mean = service_capacity(fit, Asked(arrivals=POISSON, rows_per_request=always(60)), [slo(25e-3)])
    assert by_mean.usable_capacity_rps > 1.1 * by_law.usable_capacity_rps


def test_the_class_with_many_rows_has_its_own_p99_and_its_own_objective(make_law: MakeLaw) -> None:
    law = make_law(request_s=0.5e-3, row_s=15e-6, delay_s=5e-3, cpu_cv=0.1)
    fit = known(law, rows=RowsSeen(mean=58.0, most=400))
    asked = Asked(
        arrivals=POISSON, rows_per_request=RowsPerRequest(mean=58.0, p95=400.0, most=400), classes=MANY_AND_FEW
    )
    capacity = service_capacity(fit, asked, [slo(60e-3)])
    few, many = capacity.curve[0].classes
    assert (few.name, many.name) == ("few", "many")
    # Nearly idle they differ by 380 rows of 15 µs.
    assert many.p50_s - few.p50_s == pytest.approx(380 * 15e-6, rel=0.15)
    strict = service_capacity(fit, asked, [slo(60e-3), slo(25e-3, class_name="many")])
    assert 0.0 < strict.usable_capacity_rps < capacity.usable_capacity_rps
    assert strict.binding is not None
    assert strict.binding.class_name == "many"
    assert strict.has_classes


@pytest.mark.nightly
@pytest.mark.parametrize("seed", [1, 2])
def test_rows_from_1_to_400_are_learned_from_the_runs(seed: int, make_law: MakeLaw, drive_all: DriveAll) -> None:
    law = make_law(request_s=0.8e-3, row_s=15e-6, delay_s=5e-3, cpu_cv=0.1)
    fit = fit_service(drive_all(law, seed=seed, rows=rows_drawn), seed=1)
    best = fit.laws[0]
    assert best.request_s + 200.5 * best.row_s == pytest.approx(0.8e-3 + 200.5 * 15e-6, rel=0.05)
    assert best.row_s == pytest.approx(15e-6, rel=0.2)
    asked = Asked(arrivals=POISSON, rows_per_request=RowsPerRequest(mean=150.0, p95=380.0, most=400))
    found, true, by_mean = (
        service_capacity(one, asked, [slo(60e-3)]).usable_capacity_rps
        for one in (fit, known(law, rows=fit.rows), known(mean_only(law), rows=fit.rows))
    )
    assert found == pytest.approx(true, rel=0.10)
    assert abs(by_mean / true - 1.0) > 0.10


# The check


def checked(answer: Answer, law: ServiceLaw, *, rate_rps: float) -> LoadRun:
    spec = LoadSpec(
        name="check",
        purpose="verification",
        arrivals=POISSON,
        offered_rate_rps=rate_rps,
        duration_s=20.0,
        seed=9,
        timeout_s=10.0,
        setting=None,
    )
    return answer(law, spec)


@pytest.mark.parametrize("seed", range(5))
def test_a_service_that_is_as_it_was_fitted_suits(seed: int, make_law: MakeLaw, answer: Answer) -> None:
    law = make_law()
    run = answer(law, checked(answer, law, rate_rps=220.0).spec, seed=seed)
    assert structure_doubt(known(law), run) is None


def test_a_service_that_is_something_else_does_not_suit(make_law: MakeLaw, answer: Answer) -> None:
    run = checked(answer, make_law(n_slots=6), rate_rps=220.0)
    doubt = structure_doubt(known(make_law()), run)
    assert doubt is not None
    assert doubt.code == "fit.structure_not_suited"
    assert "structure not suited" in doubt.what
    assert "slower than waits, slots and CPU alone make it" in doubt.what
    assert doubt.number is not None
    assert doubt.number > 1.5


def test_a_run_is_predicted_by_its_own_requests(make_law: MakeLaw, answer: Answer) -> None:
    law = make_law()
    run = checked(answer, law, rate_rps=200.0)
    told = predict_service_run(known(law), run)
    assert told.offered_rate_rps == pytest.approx(run.requests.n_requests / 20.0)
    measured = np.quantile(run.requests.response_time_s, 0.5)
    assert told.p50_s == pytest.approx(measured, rel=0.05)


# The fall-back


def test_measured_rates_carry_the_highest_that_held(make_law: MakeLaw, drive_all: DriveAll, answer: Answer) -> None:
    law = make_law()
    runs = [*drive_all(law), checked(answer, law, rate_rps=220.0), checked(answer, law, rate_rps=325.0)]
    capacity = capacity_at_measured_rates(runs, [slo(150e-3)])
    by_rate = {round(run.spec.offered_rate_rps): run for run in runs}
    # 220/s are 66 % of what a core carries; 325/s are 98 %, in 20 s of which a queue grows that nobody waits out.
    assert capacity.usable_capacity_rps == pytest.approx(by_rate[220].requests.n_requests / 20.0)
    assert capacity.usable_capacity_rps_low == capacity.usable_capacity_rps
    assert capacity.usable_capacity_rps_high == pytest.approx(by_rate[325].requests.n_requests / 20.0)
    assert capacity.caveats[-1].code == "fit.measured_rates_only"
    assert [point.offered_rate_rps for point in capacity.curve] == sorted(
        point.offered_rate_rps for point in capacity.curve
    )
    nothing = capacity_at_measured_rates(runs, [slo(1e-3)])
    assert (nothing.usable_capacity_rps, len(nothing.curve)) == (0.0, 1)
