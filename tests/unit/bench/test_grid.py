"""Which cells are measured."""

from loadplan.bench.grid import IDLE_GAPS_S, bench_cells, cold_cells


def test_every_variant_thread_count_and_batch_size_is_a_cell() -> None:
    cells, caveats = bench_cells(["fp32", "int8"], n_threads=[2, 1], batch_sizes=[8, 1, 8], n_usable_cores=4)
    found = [(cell.execution.variant, cell.execution.n_threads, cell.batch_size) for cell in cells]
    assert found == [
        (variant, n_threads, batch_size)
        for variant in ("fp32", "int8")
        for n_threads in (1, 2)
        for batch_size in (1, 8)
    ]
    assert caveats == ()


def test_more_threads_than_cores_are_left_out_with_the_reason() -> None:
    cells, caveats = bench_cells(["fp32"], n_threads=[1, 2, 4, 8], batch_sizes=[1], n_usable_cores=2)
    assert [cell.execution.n_threads for cell in cells] == [1, 2]
    (caveat,) = caveats
    assert caveat.code == "bench.threads"
    assert "4, 8 threads were not measured" in caveat.what
    assert "2 usable cores" in caveat.what


def test_where_every_thread_count_is_too_large_the_usable_cores_are_measured() -> None:
    cells, caveats = bench_cells(["fp32"], n_threads=[4, 8], batch_sizes=[1], n_usable_cores=2)
    assert [cell.execution.n_threads for cell in cells] == [2]
    assert len(caveats) == 1


def test_sessions_side_by_side_are_as_many_as_the_cores_hold() -> None:
    def counts(*n_threads: int, n_usable_cores: int) -> list[tuple[int, int]]:
        cells, _ = bench_cells(
            ["fp32"], n_threads=n_threads, batch_sizes=[1], n_usable_cores=n_usable_cores, side_by_side=True
        )
        return [(cell.execution.n_threads, cell.execution.n_sessions) for cell in cells]

    assert counts(1, 2, 3, 4, n_usable_cores=8) == [(1, 1), (1, 8), (2, 1), (2, 4), (3, 1), (3, 2), (4, 1), (4, 2)]
    assert counts(1, 2, n_usable_cores=2) == [(1, 1), (1, 2), (2, 1)]
    assert counts(1, n_usable_cores=1) == [(1, 1)]


def test_other_providers_have_one_thread_and_every_batch_size() -> None:
    cells, _ = bench_cells(
        ["fp32"], n_threads=[1, 2], batch_sizes=[1, 8], n_usable_cores=4, providers=["CPU", "CUDA:0", "CUDA:1"]
    )
    columns = [(cell.execution.provider, cell.execution.n_threads) for cell in cells if cell.batch_size == 8]
    assert columns == [("CPU", 1), ("CPU", 2), ("CUDA:0", 1), ("CUDA:1", 1)]
    assert len(cells) == 2 * len(columns)


def test_pauses_are_measured_on_the_smallest_batch_of_the_first_column() -> None:
    cells, _ = bench_cells(["fp32", "int8"], n_threads=[1, 2], batch_sizes=[4, 2], n_usable_cores=2)
    cold = cold_cells(cells)
    assert [cell.idle_gap_s for cell in cold] == list(IDLE_GAPS_S)
    assert {(cell.execution, cell.batch_size) for cell in cold} == {(cells[0].execution, 2)}
    assert not set(cold) & set(cells)
