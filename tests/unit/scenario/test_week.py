import os
from pathlib import Path

import pytest

from loadplan.errors import InputError
from loadplan.scenario.profiles import WEEK_PROFILES
from loadplan.scenario.reader import read_scenario

HEADER = "hour_of_week,share_of_peak\n"


def week(**changed: str) -> str:
    """168 rows of 0.5 with the peak in hour 10; `h7="7,0.2"` writes another row for hour 7."""
    rows = [f"{hour},{1 if hour == 10 else 0.5}" for hour in range(168)]
    for key, row in changed.items():
        rows[int(key[1:])] = row
    return HEADER + "\n".join(rows) + "\n"


def read_profile(folder: Path, profile: str) -> tuple[float, ...]:
    path = folder / "shop.yaml"
    path.write_text(f"traffic: {{peak_rps: 300, profile: {profile!r}}}\nobjectives: [{{p99_ms: 50}}]\n")
    return read_scenario(path).traffic.week_shares


@pytest.mark.parametrize("name", WEEK_PROFILES)
def test_a_named_week_has_168_shares_of_which_the_largest_is_the_peak(name: str) -> None:
    shares = WEEK_PROFILES[name]()
    assert len(shares) == 168
    assert max(shares) == 1.0
    assert min(shares) > 0.0


def test_people_work_on_weekdays_and_browse_in_the_evening() -> None:
    office, evening = WEEK_PROFILES["office_hours"](), WEEK_PROFILES["evening_peak"]()
    assert office[10] == 1.0  # Monday, 10:00 to 11:00
    assert max(office[5 * 24 :]) == 0.15
    assert [hour % 24 for hour, share in enumerate(evening) if share == 1.0] == [20] * 7


def test_a_week_is_read_from_a_file_beside_the_scenario(tmp_path: Path) -> None:
    (tmp_path / "week.csv").write_text("\ufeff" + week(h0="0,0.25").replace("\n", "\r\n"))
    shares = read_profile(tmp_path, "week.csv")
    assert (shares[0], shares[10], shares[167]) == (0.25, 1.0, 0.5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hour,share\n", "row 1: expected the header"),
        ("", "row 1: expected the header"),
        (week(h7=""), "missing hours: 7 (1 of 168)"),
        (week(h7="6,0.5"), "row 9: hour 6 is given twice, first in row 8\nmissing hours: 7"),
        (week(h7="8,0.5", h8="7,0.5"), "row 10: hour 7 stands after 8"),
        (week(h7="7,1.2", h9="9,nan"), "row 9: expected an hour 0 to 167 and a share 0 to 1, read '7,1.2'\nrow 11"),
        (week(h7="7"), "row 9: expected"),
        (week(h7="168,0.5"), "row 9: expected"),
        (week(h7="99999999999999999999999,0.5"), "row 9: expected"),
        (week(h10="10,0.9"), "row 12: the largest share is 0.9"),
        (HEADER + '"' + "x" * 200_000, "not a CSV"),
    ],
    ids=["header", "empty", "gap", "double", "order", "shares", "cells", "hour", "huge hour", "no peak", "huge field"],
)
def test_every_wrong_row_of_a_week_is_named(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "week.csv").write_text(text)
    with pytest.raises(InputError) as caught:
        read_profile(tmp_path, "week.csv")
    assert expected in caught.value.what
    assert caught.value.where == str(tmp_path / "week.csv")


@pytest.mark.parametrize("profile", ["../week.csv", "link.csv"])
def test_a_relative_path_that_leaves_the_folder_is_refused(tmp_path: Path, profile: str) -> None:
    (tmp_path / "week.csv").write_text(week())
    folder = tmp_path / "scenarios"
    folder.mkdir()
    (folder / "link.csv").symlink_to(tmp_path / "week.csv")
    with pytest.raises(InputError, match="leads out of the scenario's folder"):
        read_profile(folder, profile)
    assert read_profile(folder, str(tmp_path / "week.csv"))[10] == 1.0


def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "week.csv")
    with pytest.raises(InputError, match="not a regular file"):
        read_profile(tmp_path, "week.csv")
