"""A CSV file that several processes append to."""

import multiprocessing
import resource
import signal
from pathlib import Path

import pytest

from loadplan.errors import EnvironmentFault, InputError
from loadplan.store.csv_log import append_rows, read_log

COLUMNS = ("who", "what")


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "made" / "log.csv"
    append_rows(path, COLUMNS, [["a", "one, two"], ["b", 'said "no"']])
    append_rows(path, COLUMNS, [["c", ""]])
    log = read_log(path)
    assert log is not None
    assert [tuple(row.values()) for row in log.rows] == [("a", "one, two"), ("b", 'said "no"'), ("c", "")]
    assert path.read_text().splitlines()[0] == "who,what"


def test_a_line_break_in_a_cell_tears_no_row(tmp_path: Path) -> None:
    append_rows(tmp_path / "log.csv", COLUMNS, [["a", "one\ntwo"]])
    log = read_log(tmp_path / "log.csv")
    assert log is not None
    assert log.rows == ({"who": "a", "what": "one two"},)


@pytest.mark.parametrize("torn", ["b,hal", '"b', "b"])
def test_a_torn_last_line_is_left_out_and_then_cut_off(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "log.csv"
    append_rows(path, COLUMNS, [["a", "1"]])
    before = read_log(path)
    with path.open("a") as file:
        file.write(torn)
    assert read_log(path) == before  # its hash too
    append_rows(path, COLUMNS, [["c", "3"]])
    assert path.read_text() == "who,what\na,1\nc,3\n"


def test_a_torn_header_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("who,wh")
    assert read_log(path) is None
    append_rows(path, COLUMNS, [["a", "1"]])
    assert path.read_text() == "who,what\na,1\n"


def test_no_file_and_no_row_are_no_log(tmp_path: Path) -> None:
    assert read_log(tmp_path / "log.csv") is None
    (tmp_path / "log.csv").write_text("who,what\n")
    assert read_log(tmp_path / "log.csv") is None


def _write(path: Path, who: str) -> None:
    for i in range(20):
        append_rows(path, COLUMNS, [[who, str(i)], [who, f"{i} too"]])


def test_writers_at_the_same_time_lose_no_row_and_mix_none(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(path, who)) for who in "abcd"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=60)
    log = read_log(path)
    assert log is not None
    for who in "abcd":
        own = [row["what"] for row in log.rows if row["who"] == who]
        assert own == [text for i in range(20) for text in (str(i), f"{i} too")]
    assert len(log.rows) == 160


def test_other_columns_are_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("who\na\n")
    with pytest.raises(InputError, match="other columns"):
        append_rows(path, COLUMNS, [["b", "1"]])
    assert path.read_text() == "who\na\n"


def test_a_row_with_a_cell_too_few_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("who,what\na,1\nb\n")
    with pytest.raises(InputError) as caught:
        read_log(path)
    assert caught.value.where == f"{path}, line 3"


def _fill(path: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, resource.RLIM_INFINITY))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        append_rows(path, COLUMNS, [["b", "x" * 100]])
    except EnvironmentFault:
        raise SystemExit(4) from None


def test_where_the_disk_is_full_nothing_of_a_row_stays(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    append_rows(path, COLUMNS, [["a", "1"]])
    filling = multiprocessing.get_context("fork").Process(target=_fill, args=(path,))
    filling.start()
    filling.join(timeout=60)
    assert filling.exitcode == 4
    assert path.read_text() == "who,what\na,1\n"
