"""The journal keeps every whole piece, drops what a kill tore, and never mixes keys."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from loadplan.errors import EnvironmentFault
from loadplan.store.journal import Journal


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    i: int
    name: str = "\u2028 \r\n \x1c é"  # what other line readers take for the end of a line


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    times_s: NDArray[np.float64]


PIECES = [Piece(i=i) for i in range(4)]


def journal_with(path: Path, pieces: list[Piece]) -> Journal:
    journal = Journal(path, "key")
    for piece in pieces:
        journal.append(piece)
    return journal


def test_pieces_come_back_in_order(tmp_path: Path) -> None:
    journal_with(tmp_path / "bench.jsonl", PIECES)
    assert Journal(tmp_path / "bench.jsonl", "key").entries(Piece) == PIECES


def test_arrays_in_a_piece_come_back_exactly(tmp_path: Path) -> None:
    times_s = np.array([0.1, 1e-9, np.nan, np.inf])
    Journal(tmp_path / "bench.jsonl", "key").append(Timed(times_s=times_s))
    (back,) = Journal(tmp_path / "bench.jsonl", "key").entries(Timed)
    assert back.times_s.tobytes() == times_s.tobytes()


def test_a_journal_of_another_key_is_discarded(tmp_path: Path) -> None:
    journal_with(tmp_path / "bench.jsonl", PIECES)
    assert Journal(tmp_path / "bench.jsonl", "other key").entries(Piece) == []
    assert Journal(tmp_path / "bench.jsonl", "key").entries(Piece) == []


def test_a_journal_cut_anywhere_keeps_every_whole_piece_and_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "bench.jsonl"
    journal_with(file, PIECES)
    whole = file.read_bytes()
    for n_bytes in range(len(whole)):
        file.write_bytes(whole[:n_bytes])
        journal = Journal(file, "key")
        kept = journal.entries(Piece)
        assert kept == PIECES[: max(whole[:n_bytes].count(b"\n") - 1, 0)]
        for piece in PIECES[len(kept) :]:
            journal.append(piece)
        assert file.read_bytes() == whole


def test_a_changed_byte_costs_the_pieces_from_there_on_but_never_changes_one(tmp_path: Path) -> None:
    file = tmp_path / "bench.jsonl"
    journal_with(file, PIECES)
    whole = file.read_bytes()
    for i in range(len(whole)):
        file.write_bytes(whole[:i] + bytes([whole[i] ^ 4]) + whole[i + 1 :])
        kept = Journal(file, "key").entries(Piece)
        assert kept == PIECES[: max(whole[:i].count(b"\n") - 1, 0)]


def test_a_piece_of_an_older_version_is_made_again(tmp_path: Path) -> None:
    file = tmp_path / "bench.jsonl"
    journal = journal_with(file, PIECES[:1])
    journal.append(Timed(times_s=np.zeros(1)))
    journal = Journal(file, "key")
    assert journal.entries(Piece) == PIECES[:1]
    journal.append(PIECES[1])
    assert Journal(file, "key").entries(Piece) == PIECES[:2]


def test_a_journal_that_vanished_is_an_error_of_the_environment(tmp_path: Path) -> None:
    journal = journal_with(tmp_path / "bench.jsonl", PIECES[:1])
    (tmp_path / "bench.jsonl").unlink()
    with pytest.raises(EnvironmentFault, match=r"bench\.jsonl"):
        journal.append(PIECES[1])
