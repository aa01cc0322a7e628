"""How long a fit takes: `python -m tests.performance.fit_time [RUN]`, by default of the newest run of digits. Prints.

Each fit is a process of its own, so that the simulator is compiled where its cache is empty: first on an empty cache,
then on the one that the first left, then begun at the costs that the first found, as for the next model behind the same
server. Seconds on the wall and of the processor: neighbours lengthen the first. Wanted: 10 s, on an empty cache too.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from loadplan.fit.capacity import fit_capacity
from loadplan.fit.planning_tables import with_planning_tables
from loadplan.fit.records import OverheadFit
from loadplan.pipeline import artifacts
from loadplan.pipeline.artifacts import read_bench, read_load
from loadplan.scenario.spec import Scenario
from loadplan.store.codec import read_record, write_record

_RUNS = Path(__file__).parents[2] / "results" / "digits"
_SCHEMA = "loadplan.fit_time/1"


def main() -> None:
    """Fit three times in processes of their own, or once as such a process."""
    if len(sys.argv) == 4:
        _fit(Path(sys.argv[1]), Path(sys.argv[2]), begin=sys.argv[3] == "begin")
        return
    runs = [Path(sys.argv[1])] if len(sys.argv) > 1 else sorted(_RUNS.glob("*/"))
    if not runs:
        sys.stdout.write(f"no run in {_RUNS}: make one with `loadplan run scenarios/digits.yaml`, or name one\n")
        return
    run = runs[-1]
    with tempfile.TemporaryDirectory() as folder:
        for name, begin in (
            ("empty cache", ""),
            ("compiled already", ""),
            ("begun at another fit", "begin"),
        ):
            environment = {**os.environ, "NUMBA_CACHE_DIR": str(Path(folder) / "numba")}
            command = [sys.executable, __file__, str(run), str(Path(folder) / "costs.json"), begin]
            began_s, before = time.monotonic(), os.times()
            printed = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
            wall_s, after = time.monotonic() - began_s, os.times()
            cpu_s = after.children_user - before.children_user + after.children_system - before.children_system
            sys.stdout.write(f"{name:<22} {wall_s:5.1f} s, {cpu_s:5.1f} s of the processor; {printed}")


def _fit(run: Path, costs: Path, *, begin: bool) -> None:
    """What the run measured, of one that was stopped before it had everything too."""
    scenario = read_record(run / artifacts.SCENARIO, Scenario, schema="loadplan.scenario/1")
    paths = sorted((run / artifacts.LOAD).glob("*.parquet"))
    loads = [load for load in map(read_load, paths) if load.spec.purpose != "verification"]
    first = read_record(costs, OverheadFit, schema=_SCHEMA) if begin else None
    fitted = fit_capacity(read_bench(run / artifacts.BENCH), loads, scenario, first=first)
    fitted = with_planning_tables(fitted, scenario)
    write_record(costs, fitted.overhead, schema=_SCHEMA)
    best = max(capacity.usable_capacity_rps for capacity in fitted.capacities)
    law = fitted.overhead
    sys.stdout.write(f"{1e6 * (law.request_s + law.response_s):.1f} µs a request, up to {best:,.0f} requests/s\n")


if __name__ == "__main__":
    main()
