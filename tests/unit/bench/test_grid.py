"""Which cells are measured."""

from loadplan.bench.grid import bench_cells


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
