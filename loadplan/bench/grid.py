"""Which cells are measured: every variant, provider, thread count and batch size that this machine has cores for."""

from collections.abc import Sequence

from loadplan.bench.records import BenchCell
from loadplan.caveat import Caveat
from loadplan.execution import ExecutionConfig

CPU = "CPU"
# Pauses before a call. A server that is rarely called is asleep: up to some 0.1 ms nothing goes cold, beyond 20 ms
# hardly anything more does.
IDLE_GAPS_S = (0.3e-3, 1.5e-3, 7e-3, 15e-3)
# Side by side on a device: the copies of one overlap the computing of the other.
_SESSIONS_ON_A_DEVICE = 2


def bench_cells(
    variants: Sequence[str],
    *,
    n_threads: Sequence[int],
    batch_sizes: Sequence[int],
    n_usable_cores: int,
    providers: Sequence[str] = (CPU,),
    side_by_side: bool = False,
) -> tuple[tuple[BenchCell, ...], tuple[Caveat, ...]]:
    """The grid, and a caveat for thread counts that are left out.

    More threads than cores would time the scheduler, not the model. Where every count is too large, the number of
    usable cores is measured instead.

    Args:
        variants: names of the models.
        n_threads: of one session on the CPU; a session on another provider has one.
        batch_sizes: rows.
        n_usable_cores: of this machine.
        providers: as in `ExecutionConfig.provider`.
        side_by_side: beside one session, as many as there are cores for.
    """
    possible = sorted({n for n in n_threads if n <= n_usable_cores} or {n_usable_cores})
    left_out = sorted(n for n in n_threads if n > n_usable_cores)
    cells = tuple(
        BenchCell(
            execution=ExecutionConfig(variant=variant, provider=provider, n_threads=n, n_sessions=n_sessions),
            batch_size=batch_size,
        )
        for variant in variants
        for provider in providers
        for n in (possible if provider == CPU else (1,))
        for n_sessions in _session_counts(provider, n, n_usable_cores, side_by_side=side_by_side)
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


def cold_cells(cells: Sequence[BenchCell]) -> tuple[BenchCell, ...]:
    """The smallest batch of the first column once more, after pauses of several lengths.

    One column will do, for what goes cold is the core and its caches; and it is a lone request that finds them so.
    """
    own = [cell for cell in cells if cell.execution == cells[0].execution]
    smallest = min(cell.batch_size for cell in own)
    return tuple(
        BenchCell(execution=cells[0].execution, batch_size=smallest, idle_gap_s=gap_s) for gap_s in IDLE_GAPS_S
    )


def length_cells(cells: Sequence[BenchCell], lengths: Sequence[int]) -> tuple[BenchCell, ...]:
    """The smallest and the largest batch of the first column once more, of rows that all have one length.

    One column and two sizes tell whether time goes with the positions or with the inferences; all of them would take
    several times as long as the mix itself.
    """
    own = [cell for cell in cells if cell.execution == cells[0].execution]
    sizes = sorted({min(cell.batch_size for cell in own), max(cell.batch_size for cell in own)})
    return tuple(
        BenchCell(execution=cells[0].execution, batch_size=size, length=length)
        for length in sorted(set(lengths))
        for size in sizes
    )


def _session_counts(provider: str, n_threads: int, n_usable_cores: int, *, side_by_side: bool) -> tuple[int, ...]:
    most = n_usable_cores // n_threads if provider == CPU else _SESSIONS_ON_A_DEVICE
    return (1, most) if side_by_side and most > 1 else (1,)
