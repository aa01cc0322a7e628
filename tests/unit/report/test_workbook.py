"""The workbook's formulas, computed by programs of others, against the planner; and what its cells may hold."""

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from loadplan.catalog.price import Catalog
from loadplan.fit.records import CapacityFit
from loadplan.plan.records.fleet import Fleet, Plan
from loadplan.plan.search import plan_fleet
from loadplan.report.budget.actuals import Billed, compare_months
from loadplan.report.budget.focus import focus_csv
from loadplan.report.budget.lines import NO_LINES, budget_lines
from loadplan.report.budget.months import Month
from loadplan.report.budget.rows import budget_csv
from loadplan.report.budget.text_sheets import Origin
from loadplan.report.budget.workbook import budget_workbook
from loadplan.scenario.spec import Scenario
from tests.unit.plan.fleets.test_fleet_tables import with_ladder
from tests.unit.report.spreadsheet import Computed, Values, computed_by_office, office, read_formulas, read_values

PEAK, GROWTH, HEADROOM, SPARES, MINIMUM, HOURS = (f"Assumptions!B{row}" for row in range(4, 10))
LOAD_BALANCER = "Assumptions!B10"
CHOSEN = "Options!C2"
ORIGIN = Origin(run="20261126T040000Z-0123456789", created_at="2026-11-26T04:00:00+00:00", version="1.0")
PEAKS = (*(1200.0 * 1.21**i for i in range(-8, 8)), 0.5, 1152.0, 1152.5, 4608.0)
Plans = Callable[[float], Plan]


@pytest.fixture(scope="module")
def file(plan: Plan, scenario: Scenario, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("budget") / "budget.xlsx"
    path.write_bytes(budget_workbook(plan, scenario, origin=ORIGIN, lines=budget_lines(NO_LINES)))
    return path


@pytest.fixture(scope="module")
def computed(file: Path) -> Computed:
    return Computed(file)


@pytest.fixture(scope="module")
def plan_at(fit: CapacityFit, scenario: Scenario, catalog: Catalog) -> Plans:
    def at(peak_rps: float) -> Plan:
        asked = replace(scenario, traffic=replace(scenario.traffic, peak_rps=peak_rps))
        return plan_fleet(fit=fit, scenario=asked, catalog=catalog, as_of=date(2026, 11, 20))

    return at


def cells(values: Values, sheet: str, column: str, n_rows: int) -> list[Any]:
    return [values[f"{sheet}!{column}{row}"] for row in range(4, 4 + n_rows)]


def fleets(plan: Plan) -> list[Fleet]:
    assert plan.recommended is not None
    return [plan.recommended, *plan.runners_up]


def options_of(values: Values, n_options: int) -> dict[str, tuple[int, str, int]]:
    """Replicas, cost to the cent and rank, by offer."""
    columns = [cells(values, "Options", column, n_options) for column in "BIJL"]
    return {offer: (int(n), f"{usd:.2f}", int(rank)) for offer, n, usd, rank in zip(*columns, strict=True)}


def planned(plan: Plan) -> dict[str, tuple[int, str, int]]:
    return {
        fleet.items[0].offer.name: (fleet.items[0].n_replicas, f"{fleet.usd_per_month:.2f}", rank)
        for rank, fleet in enumerate(fleets(plan), 1)
    }


def assert_same_as_planned(values: Values, plan: Plan) -> None:
    assert options_of(values, len(fleets(plan))) == planned(plan)
    months = plan.months
    assert cells(values, "Months", "C", len(months)) == [month.n_replicas for month in months]
    assert cells(values, "Months", "F", len(months)) == pytest.approx([float(month.usd) for month in months], abs=1e-4)
    assert plan.recommended is not None
    assert values["Summary!B5"] == plan.recommended.items[0].offer.name
    assert values["Summary!B8"] == pytest.approx(float(sum(month.usd for month in months)), abs=1e-4)


def test_every_formula_shows_the_value_that_it_computes(file: Path, computed: Computed) -> None:
    stored, now = read_values(file), computed.values({})
    assert len(read_formulas(file)) > 50
    for name in read_formulas(file):
        told = now[name].item() if hasattr(now[name], "item") else now[name]
        assert told == (pytest.approx(stored[name]) if isinstance(told, float | int) else stored[name]), name


@pytest.mark.parametrize("peak_rps", [1152.0])
def test_another_peak_gives_the_replicas_and_the_cost_of_another_plan(
    computed: Computed, plan_at: Plans, peak_rps: float
) -> None:
    assert_same_as_planned(computed.values({PEAK: peak_rps}), plan_at(peak_rps))


@pytest.mark.nightly
@pytest.mark.parametrize("peak_rps", PEAKS)
def test_at_twenty_peaks_the_sheet_says_what_the_planner_says(
    computed: Computed, plan_at: Plans, peak_rps: float
) -> None:
    assert_same_as_planned(computed.values({PEAK: peak_rps}), plan_at(peak_rps))


@pytest.mark.nightly
@pytest.mark.skipif(office() is None, reason="LibreOffice is not installed: apt-get install libreoffice-calc-nogui")
def test_libreoffice_computes_the_same_at_twenty_peaks(file: Path, plan_at: Plans, tmp_path: Path) -> None:
    changes: list[Mapping[str, float]] = [{PEAK: peak_rps} for peak_rps in PEAKS]
    for peak_rps, values in zip(PEAKS, computed_by_office(file, changes, tmp_path), strict=True):
        assert_same_as_planned(values, plan_at(peak_rps))


@pytest.mark.nightly
def test_the_other_yellow_cells_count_as_well(computed: Computed, plan: Plan) -> None:
    # The winner's replica carries 1,440; 2,400 / (1,440 x 0.5) = 3.3: 4 and 3 spares, at 0.10 USD and 700 hours.
    values = computed.values({HEADROOM: 0.5, SPARES: 3, HOURS: 700, GROWTH: 0.0, LOAD_BALANCER: 20})
    assert values["Options!I4"] == 7
    assert float(values["Options!J4"]) == pytest.approx(490)
    assert [float(usd) for usd in cells(values, "Months", "F", 12)] == pytest.approx([510.0] * 12)
    assert computed.values({MINIMUM: 9})["Options!I4"] == 9


@pytest.mark.nightly
def test_the_months_of_another_option_can_be_looked_at(computed: Computed, plan: Plan) -> None:
    other = plan.runners_up[0]
    values = computed.values({CHOSEN: 2})
    assert values["Summary!B5"] == other.items[0].offer.name
    assert values["Months!C4"] == other.items[0].n_replicas
    assert float(values["Months!D4"]) == pytest.approx(float(other.usd_per_month))


@pytest.mark.nightly
def test_the_sheet_reckons_with_the_loss_of_a_zone(
    fit: CapacityFit, scenario: Scenario, catalog: Catalog, tmp_path: Path
) -> None:
    zoned = replace(scenario, plan=replace(scenario.plan, n_zones=3))
    at = partial(plan_fleet, fit=fit, catalog=catalog, as_of=date(2026, 11, 20))
    plan = at(scenario=zoned)
    (tmp_path / "z.xlsx").write_bytes(budget_workbook(plan, zoned, origin=ORIGIN, lines=budget_lines(NO_LINES)))
    computed = Computed(tmp_path / "z.xlsx")
    # 2,400 over 1,440 with a fifth kept free are three, and of five in three zones two may be gone.
    assert read_values(tmp_path / "z.xlsx")["Options!I4"] == 5
    for peak_rps in (1152.0, 6000.0):
        other = at(scenario=replace(zoned, traffic=replace(zoned.traffic, peak_rps=peak_rps)))
        assert_same_as_planned(computed.values({PEAK: peak_rps}), other)
    assert computed.values({"Assumptions!B14": 2})["Options!I4"] == 6


def test_a_peak_beyond_the_table_is_told_and_not_guessed(computed: Computed) -> None:
    values = computed.values({PEAK: 1e9})
    told = [values[name] for name in ("Options!I4", "Options!J4", "Months!C4", "Months!F15", "Summary!B8")]
    assert told == ["beyond the table"] * 5
    assert "plan again" in values["Summary!B9"]


def test_lines_besides_the_machines_are_named_when_they_are_left_out(file: Path) -> None:
    values = read_values(file)
    assert [values[f"Assumptions!A{row}"] for row in range(10, 14)] == [
        "load balancer", "disk", "control plane", "data transfer"
    ]  # fmt: skip
    assert {values[f"Assumptions!E{row}"] for row in range(10, 14)} == {
        "excluded: the catalogue has prices of machines only"
    }
    left_out = next(values[f"Summary!B{row}"] for row in range(10, 30) if values[f"Summary!A{row}"] == "left out")
    assert "load balancer, disk, control plane, data transfer" in left_out


def test_a_line_that_was_given_is_on_every_months_bill(plan: Plan, scenario: Scenario, tmp_path: Path) -> None:
    lines = budget_lines({"disk": Decimal("12.5"), "load balancer": Decimal(20)})
    (tmp_path / "b.xlsx").write_bytes(budget_workbook(plan, scenario, origin=ORIGIN, lines=lines))
    values = read_values(tmp_path / "b.xlsx")
    # Four replicas at 73 USD, and 32.50 besides.
    assert values["Months!F4"] == pytest.approx(292 + 32.5)
    assert values["Assumptions!E11"] == "assumed: given with --line"


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "＝1", " =1"], ids=repr)
def test_no_text_becomes_a_formula(plan: Plan, scenario: Scenario, tmp_path: Path, name: str) -> None:
    assert plan.recommended is not None
    item = plan.recommended.items[0]
    offer = replace(item.offer, region=name, source=name, instance_type=replace(item.offer.instance_type, name=name))
    hostile = replace(plan, recommended=replace(plan.recommended, items=(replace(item, offer=offer),), reason=name))
    own = replace(scenario, name=name)
    (tmp_path / "b.xlsx").write_bytes(budget_workbook(hostile, own, origin=ORIGIN, lines=budget_lines(NO_LINES)))
    (tmp_path / "a.xlsx").write_bytes(budget_workbook(plan, scenario, origin=ORIGIN, lines=budget_lines(NO_LINES)))
    assert read_formulas(tmp_path / "b.xlsx") == read_formulas(tmp_path / "a.xlsx")
    values = read_values(tmp_path / "b.xlsx")
    assert values["Sources!D4"] == f"'{name}"
    assert values["Options!P4"] == f"'{name}"


@pytest.mark.nightly
def test_what_whole_fleets_carry_is_looked_up_and_what_bears_a_loss_is_added(
    fit: CapacityFit, scenario: Scenario, catalog: Catalog, tmp_path: Path
) -> None:
    """Behind a balancer that deals unevenly n replicas carry less than n times one, and the plan may buy one more."""
    low = {(1, 1): 1.0, (1, 2): 0.95, (1, 8): 0.8, (2, 1): 0.97, (2, 2): 0.9, (2, 8): 0.75}
    uneven = with_ladder(fit, low=low)
    at = partial(plan_fleet, fit=uneven, catalog=catalog, as_of=date(2026, 11, 20))
    plan = at(scenario=scenario)
    (tmp_path / "b.xlsx").write_bytes(budget_workbook(plan, scenario, origin=ORIGIN, lines=budget_lines(NO_LINES)))
    computed = Computed(tmp_path / "b.xlsx")
    assert plan.recommended is not None
    assert plan.recommended.capacity.rungs[-1].multiple < 8
    for peak_rps in PEAKS:
        other = at(scenario=replace(scenario, traffic=replace(scenario.traffic, peak_rps=peak_rps)))
        assert_same_as_planned(computed.values({PEAK: peak_rps}), other)
    # One replica more in the plan than its table asks for stays one more at every peak.
    item = plan.recommended.items[0]
    more = replace(plan.recommended, items=(replace(item, n_replicas=item.n_replicas + 1),))
    (tmp_path / "c.xlsx").write_bytes(
        budget_workbook(replace(plan, recommended=more), scenario, origin=ORIGIN, lines=budget_lines(NO_LINES))
    )
    safer = Computed(tmp_path / "c.xlsx")
    for peak_rps in PEAKS[::5]:
        one, other_one = (each.values({PEAK: peak_rps})["Options!I4"] for each in (safer, computed))
        assert one == other_one + 1
    assert safer.values({CHOSEN: 1})["Months!C4"] == item.n_replicas + 1


@pytest.mark.nightly
def test_machines_of_ones_own_cost_the_same_in_every_month_and_there_are_only_so_many(
    plan: Plan, scenario: Scenario, tmp_path: Path
) -> None:
    assert plan.recommended is not None
    item = plan.recommended.items[0]
    offer = replace(item.offer, purchase="owned", usd_per_month=Decimal(73), n_available=5)
    own = replace(plan, recommended=replace(plan.recommended, items=(replace(item, offer=offer),)))
    (tmp_path / "b.xlsx").write_bytes(budget_workbook(own, scenario, origin=ORIGIN, lines=budget_lines(NO_LINES)))
    computed = Computed(tmp_path / "b.xlsx")
    shorter = computed.values({HOURS: 100})
    assert float(shorter["Options!J4"]) == pytest.approx(4 * 73)
    # One of five is spare: four carry 4 x 1,440 x 0.8.
    assert computed.values({PEAK: 4608.0})["Options!I4"] == 5
    assert computed.values({PEAK: 4608.5})["Options!I4"] == "beyond the table"
    # The traffic outgrows them in the ninth month: 2,400 x 1.1^8 = 5,145.
    stored = read_values(tmp_path / "b.xlsx")
    assert stored["Months!C10"] == 5
    assert stored["Months!C12"] == "beyond the table"
    assert stored["Summary!B8"] == computed.values({})["Summary!B8"] == "beyond the table"


@pytest.fixture
def mixed(plan: Plan) -> Plan:
    """Two machines of one type and one of another, the second month with one more of each."""
    assert plan.recommended is not None
    first, second = (replace(fleet.items[0]) for fleet in (plan.recommended, plan.runners_up[0]))
    fleet = replace(
        plan.recommended,
        items=(replace(first, n_replicas=2), replace(second, n_replicas=1)),
        usd_per_month=2 * Decimal(73) + Decimal("0.12") * 730,
    )
    months = (
        replace(plan.months[0], n_replicas=3, n_of_each=(2, 1), usd=fleet.usd_per_month),
        replace(plan.months[1], n_replicas=5, n_of_each=(3, 2), usd=3 * Decimal(73) + 2 * Decimal("0.12") * 730),
    )
    return replace(plan, recommended=fleet, runners_up=(plan.recommended, *plan.runners_up), months=months)


def test_beside_a_fleet_of_several_types_the_sheet_computes_those_of_one(
    mixed: Plan, scenario: Scenario, tmp_path: Path
) -> None:
    (tmp_path / "b.xlsx").write_bytes(budget_workbook(mixed, scenario, origin=ORIGIN, lines=budget_lines(NO_LINES)))
    values = read_values(tmp_path / "b.xlsx")
    assert values["Summary!C5"] == " + ".join(item.offer.name for item in mixed.recommended.items)  # type: ignore[union-attr]
    assert (values["Summary!C6"], values["Summary!C7"]) == (3, pytest.approx(233.6))
    assert values["Summary!B5"] == values["Options!B4"] == "aws/east/h.xlarge/on_demand"
    assert (values["Months!C4"], values["Months!D4"]) == (4, pytest.approx(292))
    assert "not computed here" in {values.get(f"Summary!A{row}") for row in range(10, 30)}


def test_each_offer_of_a_fleet_of_several_types_has_a_row_a_month(mixed: Plan, scenario: Scenario) -> None:
    bill = list(csv.DictReader(io.StringIO(budget_csv(mixed))))
    told = [(row["month"], row["instance_type"], row["n_replicas"], row["usd_per_month"]) for row in bill]
    second = mixed.runners_up[1].items[0].offer.instance_type.name
    assert told == [
        ("0", "h.xlarge", "2", "146.00"),
        ("0", second, "1", "87.60"),
        ("1", "h.xlarge", "3", "219.00"),
        ("1", second, "2", "175.20"),
    ]
    first = Month(year=2027, number=1)
    text = focus_csv(mixed, scenario, origin=ORIGIN, lines=(), version="1.4", first=first)
    costs = [Decimal(row["EffectiveCost"]) for row in csv.DictReader(io.StringIO(text))]
    assert costs == [Decimal(row["usd_per_month"]) for row in bill]
    billed = {first: Billed(machine_hours=Decimal(1), machines_usd=Decimal(1), other_usd=Decimal(0))}
    forecast = compare_months(mixed, (), billed, first=first)[0].forecast
    assert forecast is not None
    assert (forecast.machine_hours, forecast.usd) == (Decimal(3 * 730), Decimal("233.6"))


def test_the_same_plan_gives_the_same_bytes(plan: Plan, scenario: Scenario) -> None:
    lines = budget_lines(NO_LINES)
    assert budget_workbook(plan, scenario, origin=ORIGIN, lines=lines) == budget_workbook(
        plan, scenario, origin=ORIGIN, lines=lines
    )
