"""Sweep, starts and probe of a real tiny model, cut short and gone on with."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from loadplan.bench.records import BenchCell
from loadplan.bench.runner import BenchRequest
from loadplan.execution import ExecutionConfig
from loadplan.machine import read_machine
from loadplan.pipeline.benchmark import BenchPiece, benchmark
from loadplan.scenario.payloads import PayloadSet
from loadplan.store.codec import dumps
from loadplan.store.journal import Journal


@pytest.fixture
def request_of_four_cells(tmp_path: Path) -> BenchRequest:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 4]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "tiny", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (tmp_path / "tiny.onnx").write_bytes(model.SerializeToString())
    rows = np.ones((8, 4), dtype=np.float32)
    return BenchRequest(
        models=dict.fromkeys(("a", "b"), tmp_path / "tiny.onnx"),
        payloads=PayloadSet(inputs={"x": rows}, expected={"y": rows}, segments=("",) * 8, labels=None),
        cells=tuple(
            BenchCell(execution=ExecutionConfig(variant=name), batch_size=size)
            for name in ("a", "b")
            for size in (1, 8)
        ),
        budget_s=0.0,  # two visits to each cell, one start of each column, and as short a probe as there is
        machine=replace(read_machine(), l3_cache_bytes=1 << 20),  # the probe's arrays follow it
    )


def test_a_benchmark_that_was_cut_short_repeats_at_most_the_piece_it_was_making(
    request_of_four_cells: BenchRequest, tmp_path: Path
) -> None:
    """Eight visits, two starts and a probe, stopped after each kind."""
    heard: list[tuple[float, str]] = []
    for n_pieces in (3, 9, 10, 11):
        journal = Journal(tmp_path / "journal", "key")
        n_made = len(journal.entries(BenchPiece))

        def keep(piece: BenchPiece, journal: Journal = journal, stop_at: int = n_pieces) -> None:
            journal.append(piece)
            if len(journal.entries(BenchPiece)) == stop_at < 11:
                raise KeyboardInterrupt

        try:
            run = benchmark(
                request_of_four_cells,
                done=journal.entries(BenchPiece),
                on_record=keep,
                on_progress=lambda *said: heard.append(said),
            )
        except KeyboardInterrupt:
            assert len(Journal(tmp_path / "journal", "key").entries(BenchPiece)) == n_pieces > n_made
    pieces = Journal(tmp_path / "journal", "key").entries(BenchPiece)
    kinds = ["visit" if piece.visit else "start" if piece.start else "probe" for piece in pieces]
    assert kinds == ["visit"] * 8 + ["start"] * 2 + ["probe"]
    assert {dumps(visit) for visit in run.rounds} == {dumps(piece.visit) for piece in pieces[:8]}
    assert run.starts == tuple(piece.start for piece in pieces[8:10])
    assert [start.execution.variant for start in run.starts] == ["a", "b"]
    assert [batch.batch_size for batch in run.starts[0].batches] == [1, 8]
    assert run.probe == pieces[10].probe
    assert all(0.0 <= ratio <= 1.0 for ratio, _ in heard)
    again: list[BenchPiece] = []
    kept = benchmark(request_of_four_cells, done=pieces, on_record=again.append)
    assert again == []
    assert (kept.cells, kept.starts, kept.probe) == (run.cells, run.starts, run.probe)
