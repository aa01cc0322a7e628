"""A service whose structure is known is recovered from the runs that are asked for, none of them above half load."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from loadplan.errors import InvalidMeasurement
from loadplan.fit.black_box.fit import fit_service
from loadplan.fit.black_box.records import ServiceFit
from loadplan.fit.black_box.structures import ServiceLaw, cpu_s
from loadplan.load.records import LoadRun
from tests.unit.fit.black_box.conftest import DriveAll, MakeLaw


def test_a_shared_cpu_behind_more_slots_than_a_burst_has_requests(make_law: MakeLaw, drive_all: DriveAll) -> None:
    fit = fit_service(drive_all(make_law(sharing="shared", n_slots=40)), seed=1)
    best = fit.laws[0]
    assert best.structure.sharing == "shared"
    # Forty slots are no limit for forty requests: it was not met, and that is what is said.
    assert best.structure.n_slots is None
    assert fit.n_at_once <= 40
    assert cpu_s(best, 1.0) == pytest.approx(3e-3, rel=0.05)
    assert np.median(best.delays_s) == pytest.approx(20e-3, rel=0.05)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_first_come_first_served(seed: int, make_law: MakeLaw, drive_all: DriveAll) -> None:
    fit = fit_service(drive_all(make_law(sharing="first_come"), seed=seed), seed=1)
    best = fit.laws[0]
    assert best.structure.sharing == "first_come"
    assert best.structure.n_slots is None
    assert cpu_s(best, 1.0) == pytest.approx(3e-3, rel=0.05)


@pytest.mark.nightly
@pytest.mark.parametrize("sharing", ["shared", "first_come"])
def test_five_slots(sharing: str, make_law: MakeLaw, drive_all: DriveAll) -> None:
    """With so few inside at once it can't be seen how they share the CPU, and the luck of one set of runs may say 6."""
    fits = [fit_service(drive_all(make_law(sharing=sharing, n_slots=5), seed=seed), seed=1) for seed in (1, 2, 3)]
    assert all(5 in {law.structure.n_slots for law in fit.laws} for fit in fits)
    assert np.median([fit.laws[0].structure.n_slots or 0 for fit in fits]) == 5
    assert np.median([cpu_s(fit.laws[0], 1.0) for fit in fits]) == pytest.approx(3e-3, rel=0.05)


@pytest.mark.nightly
@pytest.mark.parametrize(("sharing", "n_cores"), [("shared", 1), ("first_come", 1), ("shared", 2)])
def test_where_nobody_counts_the_cpu_time_the_pace_is_recovered_and_the_cores_are_not_told(
    sharing: str, n_cores: int, make_law: MakeLaw, drive_all: DriveAll
) -> None:
    runs = drive_all(make_law(sharing=sharing, n_cores=n_cores, request_s=3e-3 * n_cores))
    fit = fit_service([replace(run, server=None) for run in runs], seed=1)
    assert fit.counted_s is None
    best = fit.laws[0]
    assert best.structure.sharing == sharing
    assert cpu_s(best, 1.0) / best.structure.n_cores == pytest.approx(3e-3, rel=0.05)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", [1, 2])
def test_two_cores_are_told_by_the_cpu_time_that_was_counted(seed: int, make_law: MakeLaw, drive_all: DriveAll) -> None:
    fit = fit_service(drive_all(make_law(n_cores=2, request_s=6e-3), seed=seed), seed=1)
    assert {law.structure.n_cores for law in fit.laws} == {2}
    assert cpu_s(fit.laws[0], 1.0) == pytest.approx(6e-3, rel=0.05)


def with_cores_busy(run: LoadRun, ratio: float) -> LoadRun:
    """The same run, had the system counted another CPU time: so many times what it did."""
    assert run.server is not None
    (busy,) = run.server.series
    assert busy.values is not None
    return replace(run, server=replace(run.server, series=(replace(busy, values=ratio * busy.values),)))


def test_the_cpu_time_of_a_proxy_in_front_of_the_service_is_not_taken_for_its_own(
    make_law: MakeLaw, drive_all: DriveAll
) -> None:
    """It used 0.06 ms for each request, as a proxy does, where the service works for 3 ms."""
    runs = [with_cores_busy(run, 0.02) for run in drive_all(make_law())]
    fit = fit_service(runs, seed=1)
    assert cpu_s(fit.laws[0], 1.0) == pytest.approx(3e-3, rel=0.05)
    assert fit.laws[0].structure.n_slots is None
    assert fit.counted_s is None
    (caveat,) = (one for one in fit.caveats if one.code == "fit.service_cpu_elsewhere")
    assert "used 0.061 ms of CPU time for each request" in caveat.what
    assert caveat.number == pytest.approx(0.02, rel=0.1)


def test_a_service_of_few_slots_works_little_of_the_time_and_its_count_is_believed(
    make_law: MakeLaw, drive_all: DriveAll
) -> None:
    """Two slots that wait for 20 ms answer every 11.5 ms, and a request works for 3."""
    fit = fit_service(drive_all(make_law(n_slots=2)), seed=1)
    assert fit.counted_s == pytest.approx(1.02 * 3e-3, rel=0.05)
    assert {law.structure.n_slots for law in fit.laws} == {2}
    assert all(one.code != "fit.service_cpu_elsewhere" for one in fit.caveats)


@pytest.mark.nightly
def test_what_is_drawn_from_the_uncertainty_surrounds_the_truth(make_law: MakeLaw, drive_all: DriveAll) -> None:
    fit = fit_service(drive_all(make_law()), seed=1)
    drawn = [cpu_s(law, 1.0) for law in (*fit.laws, *fit.plausible)]
    assert min(drawn) <= 3e-3 <= max(drawn)
    assert max(drawn) / min(drawn) < 1.5


def told(fit: ServiceFit) -> Sequence[ServiceLaw]:
    return (*fit.laws, *fit.plausible)


@pytest.mark.nightly
def test_the_same_runs_and_seed_give_the_same_fit(make_law: MakeLaw, drive_all: DriveAll) -> None:
    runs = drive_all(make_law())
    assert told(fit_service(runs, seed=1)) == told(fit_service(runs, seed=1))


def test_without_a_burst_or_without_a_rate_there_is_no_fit(make_law: MakeLaw, drive_all: DriveAll) -> None:
    runs = drive_all(make_law())

    def without(purpose: str) -> list[LoadRun]:
        return [run for run in runs if (run.spec.purpose == "saturation") != (purpose == "saturation")]

    with pytest.raises(InvalidMeasurement, match="bursts says enough: none was driven"):
        fit_service(without("saturation"), seed=1)
    with pytest.raises(InvalidMeasurement, match="low rate says enough: none was driven"):
        fit_service([run for run in runs if run.spec.purpose == "saturation"], seed=1)
