"""Whether two sweeps agree: `python -m tests.performance.repeatability [BUDGET_S]`. Prints, asserts nothing.

The digits scenario is exported once and its grid swept twice, each round in a process of its own. Of the cells that
are noisy in neither sweep, nine of ten should agree within 3 %; and seven of ten cells should not be noisy. Calls after
pauses are wanted to 10 % only, so they are shown and not counted.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from loadplan.bench.compare import CHANGE_ALLOWED_RATIO, cell_name, compare_benches
from loadplan.bench.runner import BenchRequest, run_bench
from loadplan.bench.summary import is_far, nearest_ratio
from loadplan.pipeline.bench_request import bench_request
from loadplan.pipeline.road import run

_SCENARIO = Path(__file__).parents[2] / "scenarios" / "digits.yaml"


def main() -> None:
    """Sweep twice, print both shares and what a comparison says."""
    with tempfile.TemporaryDirectory() as folder:
        request = _request(Path(folder))
        if len(sys.argv) > 1:
            request = replace(request, budget_s=float(sys.argv[1]))
        first, second = run_bench(request), run_bench(request)
    comparison = compare_benches(first, second)
    counted = [cell for cell in comparison.cells if cell.cell.is_of_table]
    calm = [cell for cell in counted if cell.change != "noisy"]
    for cell in comparison.cells:
        sys.stdout.write(
            f"{cell_name(cell.cell):<60} second / first {cell.ratio:.3f} "
            f"({cell.interval.low:.3f} to {cell.interval.high:.3f})  {cell.change}\n"
        )
    for name, swept in (("first", first), ("second", second)):
        nearest = nearest_ratio(swept.rounds)
        apart = "unknown" if nearest is None else f"{nearest:.1f} turns"
        n_far = sum(is_far(visit, nearest) for visit in swept.rounds)
        sys.stdout.write(f"{name}: {len(swept.rounds)} visits, cores {apart} apart, farther in {n_far}\n")
    sys.stdout.writelines(f"{caveat.what}\n" for caveat in comparison.caveats)
    sys.stdout.write(f"not noisy: {len(calm)} of {len(counted)} cells{_share(len(calm), len(counted))}\n")
    n_agreeing = sum(1.0 / (1.0 + CHANGE_ALLOWED_RATIO) <= cell.ratio <= 1.0 + CHANGE_ALLOWED_RATIO for cell in calm)
    within = f"agreeing within {CHANGE_ALLOWED_RATIO:.0%}"
    sys.stdout.write(f"{within}: {n_agreeing} of these {len(calm)}{_share(n_agreeing, len(calm))}\n")


def _share(part: int, whole: int) -> str:
    return f", {part / whole:.0%}" if whole else ""


def _request(results: Path) -> BenchRequest:
    """The sweep that `loadplan run` would make of the scenario."""
    end = run(_SCENARIO, results=results, until="export")
    found = end.findings
    if found.export is None or found.payloads is None:
        raise SystemExit(f"nothing was exported: {end.failure}")
    models = {model.variant: end.folder / model.path for model in found.export.models}
    return bench_request(found.scenario, models=models, payloads=found.payloads, machine=found.machine)


if __name__ == "__main__":
    main()
