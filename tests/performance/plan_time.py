"""How long a plan takes over a full catalogue, and again after a price edit: `python -m tests.performance.plan_time`.

A fit with every setting that a scenario may ask for, the shipped catalogue with all its offers, a week of 168 different
hours and 36 months of growth, on one core. Prints seconds of the processor; wanted: 10 s for the first plan with
everything imported, 1 s for the plan after a price was edited, which measures and simulates nothing again.
"""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import partial
from itertools import product

from loadplan.catalog.price import Catalog
from loadplan.catalog.reader import load_catalog
from loadplan.execution import ExecutionConfig, ServingConfig, Setting
from loadplan.fit.records import CapacityFit, OverheadFit, PredictedLatency, ServiceTimeFit, SettingCapacity, StartTimes
from loadplan.machine import read_machine
from loadplan.plan.records.fleet import Plan
from loadplan.plan.search import searching
from loadplan.plan.with_outlook import plan_with_outlook
from loadplan.scenario.arrivals import PoissonArrivals
from loadplan.scenario.rows_law import always
from loadplan.scenario.spec import BenchBudget, LoadBudget, PlanRules, Scenario, ServingChoices, Traffic
from loadplan.slo import LatencyLimit, Slo
from loadplan.stats import Interval

_DAY = date(2026, 11, 26)
_VARIANTS, _THREADS = ("fp32", "fp16", "int8_dynamic"), (1, 2, 4)
_SIZES, _WINDOWS_S = (1, 2, 4, 8, 16, 32), (0.0, 0.001, 0.002)
_N_MONTHS = 36


def main() -> None:
    """Plan, edit a price, plan again; the first on what nothing has touched, the second five times over."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    catalog = load_catalog(as_of=_DAY)
    scenario, fit = _scenario(catalog), _fit()
    first_s, planned = _timed(partial(_plan, fit, scenario, catalog))
    if planned.recommended is None:
        sys.stdout.write(f"nothing will do: {planned.binding_constraint}\n")
        return
    n_offers = len({offer.name for offer in catalog.offers if offer.purchase in scenario.plan.purchases})
    sys.stdout.write(
        f"{n_offers} offers × {len(fit.capacities)} settings × 168 hours × {_N_MONTHS} months: {first_s:.2f} s\n"
    )
    chosen = planned.recommended.items[0].offer
    prices_s = []
    for i in range(5):
        name = chosen.name.rpartition("/")[0]
        began_s = time.process_time()
        edited = load_catalog(as_of=_DAY, overrides={name: chosen.usd_per_hour * Decimal(f"1.{i + 1}")})
        read_s = time.process_time() - began_s
        again_s, _ = _timed(partial(_plan, fit, scenario, edited))
        prices_s.append((again_s, read_s))
    again_s, read_s = sorted(prices_s)[2]
    sys.stdout.write(f"again after an edited price: {again_s:.2f} s, and {read_s:.2f} s to read the catalogue\n")


def _plan(fit: CapacityFit, scenario: Scenario, catalog: Catalog) -> Plan:
    """As the road plans, with all that lies around the answer."""
    search = searching(fit=fit, catalog=catalog, as_of=_DAY)
    return plan_with_outlook(search, scenario=scenario, catalog=catalog)


def _timed(work: Callable[[], Plan]) -> tuple[float, Plan]:
    began_s = time.process_time()  # of one thread on one core: neighbours don't count
    result = work()
    return time.process_time() - began_s, result


def _scenario(catalog: Catalog) -> Scenario:
    """Everything that has a price is allowed; no hour of the week is like another."""
    return Scenario(
        name="plan-time",
        model=None,
        traffic=Traffic(
            peak_rps=5000.0,
            rows_per_request=always(1),
            arrivals=PoissonArrivals(),
            profile="own",
            week_shares=tuple((hour + 1) / 168 for hour in range(168)),
            growth_per_month_ratio=0.03,
        ),
        objectives=(Slo(limits=(LatencyLimit(quantile=0.99, limit_s=0.05),)),),
        serving=ServingChoices(n_threads=_THREADS, max_batch_sizes=_SIZES, batch_windows_s=_WINDOWS_S),
        bench=BenchBudget(batch_sizes=_SIZES, budget_s=1.0),
        load=LoadBudget(duration_s=1.0, seed=1),
        plan=PlanRules(
            providers=tuple({offer.instance_type.provider for offer in catalog.offers}),
            regions=tuple({offer.region for offer in catalog.offers}),
            purchases=("on_demand", "spot"),
            n_spare_replicas=1,
            n_min_replicas=1,
            headroom_ratio=0.2,
            hours_per_month=730,
            horizon_months=_N_MONTHS,
            budget_usd_per_month=None,
        ),
    )


def _fit() -> CapacityFit:
    """A fit of round figures: the planner asks nothing else of it than a measured one would say."""
    executions = [ExecutionConfig(variant=variant, n_threads=n) for variant, n in product(_VARIANTS, _THREADS)]
    settings = [
        Setting(
            execution=execution,
            serving=ServingConfig(max_batch_size=size, batch_window_s=window_s, max_queue_rows=4096),
        )
        for execution, size, window_s in product(executions, _SIZES, _WINDOWS_S)
    ]
    return CapacityFit(
        machine=replace(read_machine(), cpu_model="AMD EPYC 9R14", instance_type=None),
        basis="simulated",
        arrivals=PoissonArrivals(),
        rows_per_request=always(1),
        service_times=tuple(_law(execution) for execution in executions),
        overhead=OverheadFit(
            request_s=40e-6,
            response_s=20e-6,
            batch_s=40e-6,
            wake_s=20e-6,
            transfer_s=0.0,
            cold_ratio=0.0,
            spread_ratio=0.2,
            stall_s=0.0,
            stall_rate_per_s=0.0,
            residuals=(),
        ),
        plausible=(),
        capacities=tuple(_capacity(setting, 400.0 + i) for i, setting in enumerate(settings)),
        seed=1,
        caveats=(),
    )


def _law(execution: ExecutionConfig) -> ServiceTimeFit:
    times_s = tuple(1e-3 * size**0.7 for size in _SIZES)
    return ServiceTimeFit(
        execution=execution,
        batch_sizes=_SIZES,
        mean_s=times_s,
        mean_s_low=times_s,
        mean_s_high=times_s,
        spread_ratio=(0.05,) * len(_SIZES),
        start=StartTimes(load_s=0.4, first_inference_s=0.02, n_starts=3),
    )


def _capacity(setting: Setting, rate_rps: float) -> SettingCapacity:
    curve = tuple(
        PredictedLatency(
            offered_rate_rps=ratio * rate_rps,
            utilisation_ratio=0.8 * ratio,
            p50_s=2e-3 / (1.1 - ratio),
            p95_s=4e-3 / (1.1 - ratio),
            p99_s=4.5e-3 / (1.1 - ratio),
            p50_interval=Interval(low=1.9e-3 / (1.1 - ratio), high=2.1e-3 / (1.1 - ratio)),
            p95_interval=Interval(low=3.5e-3 / (1.1 - ratio), high=4.5e-3 / (1.1 - ratio)),
            p99_interval=Interval(low=4e-3 / (1.1 - ratio), high=5e-3 / (1.1 - ratio)),
        )
        for ratio in (0.02, 0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.9, 1.0)
    )
    return SettingCapacity(
        setting=setting,
        usable_capacity_rps=rate_rps,
        usable_capacity_rps_low=0.9 * rate_rps,
        usable_capacity_rps_high=1.1 * rate_rps,
        saturated_rps=1.25 * rate_rps,
        saturated_rps_low=1.2 * rate_rps,
        saturated_rps_high=1.3 * rate_rps,
        curve=curve,
    )


if __name__ == "__main__":
    main()
