"""Reading capacities.csv."""

from decimal import Decimal
from pathlib import Path

import pytest

from loadplan.catalog.capacities import read_capacities
from loadplan.errors import InputError

HEADER = "provider,region,instance_type,batch_size,usable_capacity_rps,p99_ms\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "capacities.csv"
    path.write_text(text)
    return path


def test_figures_stay_as_they_were_written(tmp_path: Path) -> None:
    (given,) = read_capacities(written(tmp_path, HEADER + "aws,us-east-1,c7i.large,8,2.1,30.5\n"))
    assert (given.usable_capacity_rps, given.p99_s) == (Decimal("2.1"), Decimal("0.0305"))
    assert (given.provider, given.region, given.instance_type, given.batch_size) == ("aws", "us-east-1", "c7i.large", 8)


def test_region_batch_size_and_p99_may_be_empty(tmp_path: Path) -> None:
    (given,) = read_capacities(written(tmp_path, HEADER + "aws,,c7i.large,,100,\n"))
    assert (given.region, given.batch_size, given.p99_s) == (None, None, None)


def test_columns_may_stand_in_any_order_with_others_between(tmp_path: Path) -> None:
    text = "note,p99_ms,usable_capacity_rps,batch_size,instance_type,region,provider\nx,10,5,1,c7i.large,,aws\n"
    assert read_capacities(written(tmp_path, text))[0].usable_capacity_rps == 5


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        pytest.param(HEADER + "aws,,a,,1,\naws,,b,,fast,\n", "'fast' is not a number", 3, id="a word"),
        pytest.param(HEADER + "aws,,a,,0,\n", "above 0", 2, id="no capacity"),
        pytest.param(HEADER + "aws,,a,,inf,\n", "above 0", 2, id="no end of capacity"),
        pytest.param(HEADER + "aws,,a,1.5,1,\n", "not a whole number", 2, id="half a row in a batch"),
        pytest.param(HEADER + ",,a,,1,\n", "provider: is empty", 2, id="no provider"),
        pytest.param(HEADER + "aws,,a,,1\n", "has 5 cells, the header 6", 2, id="a cell too few"),
        pytest.param(HEADER + "aws,,a,,1,\naws,,a,,2,\n", "stands in line 2", 3, id="the same row twice"),
        pytest.param("provider,instance_type\n", "the header lacks region", 1, id="columns missing"),
        pytest.param(HEADER.replace("region", "provider"), "the header lacks region", 1, id="a column twice"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(tmp_path: Path, text: str, words: str, line: int) -> None:
    with pytest.raises(InputError) as caught:
        read_capacities(written(tmp_path, text))
    assert words in caught.value.what
    assert caught.value.where.endswith(f"capacities.csv, line {line}")


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no row"):
        read_capacities(written(tmp_path, HEADER))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_capacities(tmp_path / "nowhere.csv")
