"""Which cells are measured: every variant, thread count and batch size that this machine has cores for."""

from collections.abc import Sequence

from loadplan.bench.records import BenchCell
from loadplan.caveat import Caveat
from loadplan.execution import ExecutionConfig


def bench_cells(
    variants: Sequence[str], *, n_threads: Sequence[int], batch_sizes: Sequence[int], n_usable_cores: int
) -> tuple[tuple[BenchCell, ...], tuple[Caveat, ...]]:
    """The grid, and a caveat for thread counts that are left out.

    More threads than cores would time the scheduler, not the model. Where every count is too large, the number of
    usable cores is measured instead.
    """
    possible = sorted({n for n in n_threads if n <= n_usable_cores} or {n_usable_cores})
    left_out = sorted(n for n in n_threads if n > n_usable_cores)
    cells = tuple(
        BenchCell(execution=ExecutionConfig(variant=variant, n_threads=n), batch_size=batch_size)
        for variant in variants
        for n in possible
        for batch_size in sorted(set(batch_sizes))
    )
    caveats = (
        Caveat(
            code="bench.threads",
            what=f"{', '.join(map(str, left_out))} threads were not measured: this machine has "
            f"{n_usable_cores} usable cores",
            fix="run on a machine with more cores, or lift the affinity or quota that limits this one",
            number=float(n_usable_cores),
        ),
    )
    return cells, caveats if left_out else ()
