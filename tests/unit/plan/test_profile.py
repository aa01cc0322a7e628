"""Profiles as files, and what keeps one from being planned on."""

import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from loadplan.bench.records import BenchCell, BenchRun, CellRound
from loadplan.bench.resources import StartReading
from loadplan.bench.summary import by_cell, summarise_cell
from loadplan.catalog.price import Catalog, Offer
from loadplan.errors import InputError
from loadplan.execution import ExecutionConfig
from loadplan.export.artifact import ExportedModel, ExportRun
from loadplan.fit.records import CapacityFit
from loadplan.pipeline.artifacts import write_bench
from loadplan.pipeline.profiles import GivenProfile, ProfileFile, measured_types, read_profiles
from loadplan.pipeline.rental import rental
from loadplan.profile import Profile, ProfiledModel, ProfileFacts, read_profile, write_profile
from loadplan.scenario.rows_law import always
from loadplan.scenario.spec import ModelSource, ParityLimits, Scenario
from loadplan.slo import LatencyLimit, Slo
from loadplan.speed import ProbedFigure, ProbeResult
from loadplan.stats import Interval
from loadplan.store import codec

MODEL_SHA = "a" * 64
Change = Callable[[Profile], Profile]


START = StartReading(
    execution=ExecutionConfig(variant="fp32"),
    i_start=0,
    base_memory_bytes=1,
    load_s=0.5,
    first_inference_s=0.1,
    batches=(),
)
FIGURE = ProbedFigure(mean=2.0, interval=Interval(low=1.0, high=3.0), n_samples=5)
PROBE = ProbeResult(
    n_threads=2,
    gflops_one_thread=FIGURE,
    gflops_all_threads=FIGURE,
    gb_per_s_one_core=FIGURE,
    gb_per_s_all_cores=FIGURE,
    turns_per_s=FIGURE,
    lost_ratio=FIGURE,
)


@pytest.fixture
def profile(fit: CapacityFit) -> Profile:
    """Two variants, of which the laws know one, on a machine of the shape of h.xlarge that doesn't tell its type."""
    machine = replace(fit.machine, n_cores=4)
    rounds = tuple(
        CellRound(
            cell=BenchCell(execution=ExecutionConfig(variant=variant), batch_size=size),
            i_round=i,
            service_times_s=np.array([1e-4, 1.1e-4, 1.2e-4]) * size,
            lost_ratio=0.0,
            dropped_ratio=0.0,
        )
        for variant in ("fp32", "int8_dynamic")
        for size in (1, 3)
        for i in range(2)
    )
    cells = tuple(summarise_cell(visits) for visits in by_cell(rounds).values())
    return Profile(
        facts=ProfileFacts(
            scenario="test",
            model=ProfiledModel(name="model:build", sha256=MODEL_SHA, variants={"fp32": "b" * 64}),
            fit=replace(fit, machine=machine),
            versions={"loadplan": "0.1"},
            measured_on=date(2026, 11, 20),
        ),
        bench=BenchRun(machine=machine, rounds=rounds, cells=cells, caveats=(), starts=(START,), probe=PROBE),
    )


@pytest.fixture
def asked(scenario: Scenario) -> Scenario:
    model = ModelSource(
        kind="sklearn", factory="model:build", folder=".", variants=("fp32",), parity={"fp32": limits()}
    )
    return replace(scenario, model=model)


def limits() -> ParityLimits:
    return ParityLimits(max_abs_error=1e-4, top1_agreement_ratio=None, min_cosine=None)


def exported(variant: str = "fp32") -> ExportRun:
    model = ExportedModel(
        variant=variant,
        path=f"models/{variant}.onnx",
        sha256="b" * 64,
        n_bytes=1,
        opset=18,
        ir_version=9,
        n_parameters=1,
        inputs=(),
        outputs=(),
        limits=limits(),
        parity=(),
        batch_spread=0.0,
        quality=(),
    )
    return ExportRun(source="sklearn", versions={}, models=(model,), refused=(), caveats=())


def given(profile: Profile) -> GivenProfile:
    return GivenProfile(path=Path("p.parquet"), sha256="c" * 64, type_name="aws/h.xlarge", profile=profile)


def test_a_profile_comes_back_as_it_was_written(profile: Profile, tmp_path: Path) -> None:
    write_profile(tmp_path / "p.parquet", profile)
    back = read_profile(tmp_path / "p.parquet")
    assert back.facts == profile.facts
    assert back.bench.machine == profile.bench.machine
    assert (back.bench.starts, back.bench.probe) == ((START,), PROBE)
    assert [one.cell for one in back.bench.rounds] == [one.cell for one in profile.bench.rounds]
    for read, written in zip(back.bench.rounds, profile.bench.rounds, strict=True):
        assert read.service_times_s.tolist() == written.service_times_s.tolist()


def test_a_profile_that_was_cut_or_changed_is_refused(profile: Profile, tmp_path: Path) -> None:
    whole = tmp_path / "p.parquet"
    write_profile(whole, profile)
    content = whole.read_bytes()
    for n_kept in (0, 4, len(content) // 2, len(content) - 1):
        (tmp_path / "cut.parquet").write_bytes(content[:n_kept])
        with pytest.raises(InputError, match=re.escape("no profile that can be planned on")) as caught:
            read_profile(tmp_path / "cut.parquet")
        assert caught.value.where == str(tmp_path / "cut.parquet")
    # A figure of the law, changed by one digit: the file is still good parquet and good JSON.
    assert content.count(b'"batch_s":4e-05') == 1
    (tmp_path / "changed.parquet").write_bytes(content.replace(b'"batch_s":4e-05', b'"batch_s":3e-05'))
    with pytest.raises(InputError, match="changed after it was written"):
        read_profile(tmp_path / "changed.parquet")


def test_a_changed_sample_is_refused(profile: Profile, tmp_path: Path) -> None:
    write_profile(tmp_path / "p.parquet", profile)
    columns, texts = codec.read_columns(tmp_path / "p.parquet")
    columns["service_time_s"][3] *= 1.001
    codec.write_columns(tmp_path / "p.parquet", columns, metadata=texts)
    with pytest.raises(InputError, match="changed after it was written"):
        read_profile(tmp_path / "p.parquet")


def test_other_schemas_and_plain_benchmarks_are_told(profile: Profile, tmp_path: Path) -> None:
    write_profile(tmp_path / "p.parquet", profile)
    columns, texts = codec.read_columns(tmp_path / "p.parquet")
    codec.write_columns(tmp_path / "p.parquet", columns, metadata={**texts, "profile_schema": "loadplan.profile/9"})
    with pytest.raises(InputError, match=re.escape("its schema is 'loadplan.profile/9'")):
        read_profile(tmp_path / "p.parquet")
    write_bench(tmp_path / "bench.parquet", profile.bench)
    with pytest.raises(InputError, match="a benchmark without the laws"):
        read_profile(tmp_path / "bench.parquet")


def on(type_name: str | None, *, n_cores: int = 4) -> Change:
    """The same measured on a machine that tells another type, or of another size."""

    def change(profile: Profile) -> Profile:
        machine = replace(profile.facts.machine, instance_type=type_name, n_cores=n_cores)
        return replace(profile, facts=replace(profile.facts, fit=replace(profile.facts.fit, machine=machine)))

    return change


@pytest.mark.parametrize(
    ("change", "named", "message"),
    [
        pytest.param(on(None), None, "doesn't tell its instance type", id="no type"),
        pytest.param(on("aws/h.large"), "aws/h.xlarge", "measured on aws/h.large, not on aws/h.xlarge", id="other"),
        pytest.param(on(None), "aws/h.xlarg", "no price for 'aws/h.xlarg'", id="unknown"),
        pytest.param(on(None, n_cores=2), "aws/h.xlarge", "2 logical cores of x86_64; aws/h.xlarge has 4", id="size"),
    ],
)
def test_what_a_profile_cannot_stand_for_is_told(
    profile: Profile, catalog: Catalog, tmp_path: Path, change: Change, named: str | None, message: str
) -> None:
    path = tmp_path / "p.parquet"
    write_profile(path, change(profile))
    with pytest.raises(InputError, match=re.escape(message)):
        read_profiles([ProfileFile(path=path, type_name=named)], catalog)


def test_the_type_is_taken_from_the_machine_or_the_user_and_only_once(
    profile: Profile, catalog: Catalog, tmp_path: Path
) -> None:
    told, silent = tmp_path / "told.parquet", tmp_path / "silent.parquet"
    write_profile(told, on("aws/h.xlarge")(profile))
    write_profile(silent, profile)
    files = [ProfileFile(path=told, type_name=None), ProfileFile(path=silent, type_name="aws/h.xlarge")]
    for file in files:
        assert [one.type_name for one in read_profiles([file], catalog)] == ["aws/h.xlarge"]
    with pytest.raises(InputError, match=re.escape("two profiles stand for aws/h.xlarge")):
        read_profiles(files, catalog)


def test_a_profile_of_another_model_or_other_requests_is_refused(profile: Profile, asked: Scenario) -> None:
    with pytest.raises(InputError, match="a profile of another model"):
        measured_types([given(profile)], scenario=asked, exported=exported(), model_sha256="d" * 64)
    longer = replace(asked, traffic=replace(asked.traffic, rows_per_request=always(2)))
    with pytest.raises(InputError, match="requests of 1 rows, the scenario sends 2"):
        measured_types([given(profile)], scenario=longer, exported=exported(), model_sha256=MODEL_SHA)
    with pytest.raises(InputError, match="it says nothing of fp16 with 1 threads"):
        measured_types([given(profile)], scenario=asked, exported=exported("fp16"), model_sha256=MODEL_SHA)


@pytest.mark.parametrize(
    ("limit_s", "low", "high"),
    [
        # A request alone takes 4e-5 + 2e-5 + 4e-5 + 1e-4 s = 0.2 ms of the core: a server saturates at 5,000 a second.
        pytest.param(1e-4, 0.0, 0.0, id="shorter than one request takes"),
        pytest.param(1.0, 4500.0, 5000.0, id="longer than any queue below saturation"),
    ],
)
def test_capacities_are_worked_out_for_the_objectives_asked(
    profile: Profile, asked: Scenario, limit_s: float, low: float, high: float
) -> None:
    asked = replace(asked, objectives=(Slo(limits=(LatencyLimit(quantile=0.99, limit_s=limit_s),)),))
    (measured,) = measured_types([given(profile)], scenario=asked, exported=exported(), model_sha256=MODEL_SHA)
    (capacity,) = measured.fit.capacities
    assert low <= capacity.usable_capacity_rps <= high


def test_minutes_of_a_rented_machine_are_paid_to_the_cent(asked: Scenario, offer: Offer, catalog: Catalog) -> None:
    # 660 s of benchmark, 5 live runs of 60 s each and an assumed quarter of an hour: 31 minutes at 0.10 an hour are
    # 0.0517.
    slow = replace(asked, bench=replace(asked.bench, budget_s=660.0), load=replace(asked.load, duration_s=60.0))
    spot = replace(offer, purchase="spot", usd_per_hour=Decimal("0.01"))
    dear = replace(offer, region="west", usd_per_hour=Decimal("0.05"))
    found = rental(
        "h.xlarge",
        scenario=slow,
        folder=Path("/some where"),
        file="s.yaml",
        catalog=replace(catalog, offers=(offer, spot, dear)),
    )
    assert found.offer == offer  # not the spot machine, nor one in a region that the scenario doesn't allow
    assert found.minutes == 11 + 5 + 15
    assert found.usd == Decimal("0.06")
    # Twice as long, and ten minutes to fetch the file: 72 minutes are 0.12.
    assert (found.most_minutes, found.most_usd) == (2 * 31 + 10, Decimal("0.12"))
    assert found.is_free_when_off
    assert found.commands[0] == "scp -r '/some where' HOST:measured"
    assert found.commands[-1].endswith("--profiles test-h.xlarge.parquet=aws/h.xlarge")


def test_a_file_name_reaches_the_rented_machine_as_one_word(asked: Scenario, offer: Offer, catalog: Catalog) -> None:
    """This shell takes off one layer of quotes, the one that ssh starts over there another."""
    known = replace(catalog, offers=(offer,))
    for name in ("s.yaml", "my shop.yaml", "$(touch gone);'s.yaml"):
        found = rental("h.xlarge", scenario=asked, folder=Path("x"), file=name, catalog=known)
        ssh, host, *words = shlex.split(found.commands[2])
        assert (ssh, host) == ("ssh", "HOST")
        assert shlex.split(" ".join(words)) == ["loadplan", "profile", f"measured/{name}", "--out", found.profile]


def test_a_type_to_rent_must_be_known_and_one(asked: Scenario, offer: Offer, catalog: Catalog) -> None:
    twin = replace(offer, instance_type=replace(offer.instance_type, provider="gcp"))
    both = replace(catalog, offers=(offer, twin))
    for name, message in (("h.xlarge", "may be aws/h.xlarge or gcp/h.xlarge"), ("aws/h.xlarg", "no price on demand")):
        with pytest.raises(InputError, match=message):
            rental(name, scenario=asked, folder=Path("x"), file="s.yaml", catalog=both)
