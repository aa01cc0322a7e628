"""A file is there whole or not at all."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from loadplan.errors import EnvironmentFault, InputError
from loadplan.store import files

# Imported by a process of its own: a limit on file sizes would hit the tests' own files.
BIG_WRITE = """
import resource, signal, sys
import numpy as np
from pathlib import Path
from loadplan.errors import EnvironmentFault, InputError
from loadplan.store import codec, files
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
path = Path(sys.argv[1])
try:
    if path.suffix == ".parquet":
        codec.write_columns(path, {"x": np.random.default_rng(1).random(100_000)}, metadata={})
    else:
        files.write_bytes(path, bytes(800_000))
except EnvironmentFault as fault:
    print(fault)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_file_holds_the_bytes_and_nothing_else_is_left(tmp_path: Path) -> None:
    files.write_bytes(tmp_path / "new" / "deep" / "a.bin", b"\x00\xff")
    assert (tmp_path / "new" / "deep" / "a.bin").read_bytes() == b"\x00\xff"
    assert names(tmp_path / "new" / "deep") == ["a.bin"]


def test_a_file_takes_the_place_of_no_device_and_no_pipe(tmp_path: Path) -> None:
    """As root a rename over /dev/null would succeed; a pipe stands for it here."""
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link, Path("/dev/no-such-device-of-loadplan")):
        with pytest.raises(InputError, match="a device or a pipe"):
            files.write_text(path, "x")
    assert (pipe.is_fifo(), link.is_symlink()) == (True, True)
    assert names(tmp_path) == ["link", "pipe"]


@pytest.mark.parametrize("name", ["a.parquet", "a.bin"])
def test_a_file_that_grows_too_big_is_a_message_and_the_old_one_stays(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"the old one")
    command = [sys.executable, "-c", BIG_WRITE, str(tmp_path / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "800,000 bytes can't be written: File too large" in done.stdout
    assert "bytes are free there" in done.stdout
    assert "ulimit -f" in done.stdout
    assert (tmp_path / name).read_bytes() == b"the old one"
    assert names(tmp_path) == [name]


def test_a_link_planted_at_the_temporary_name_is_not_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    planted = tmp_path / f"{files.UNFINISHED}{os.getpid()}-a.bin"
    planted.symlink_to(victim)
    with pytest.raises(EnvironmentFault, match=r"a\.bin"):
        files.write_bytes(tmp_path / "a.bin", b"x")
    with pytest.raises(EnvironmentFault, match=r"a\.bin"):
        files.link_or_copy(victim, tmp_path / "a.bin")
    assert victim.read_bytes() == b"precious"
    assert not (tmp_path / "a.bin").exists()


def test_a_link_shares_the_file(tmp_path: Path) -> None:
    files.write_bytes(tmp_path / "a", b"x")
    files.link_or_copy(tmp_path / "a", tmp_path / "b" / "a")
    assert (tmp_path / "a").samefile(tmp_path / "b" / "a")


def test_linking_a_file_to_what_it_already_is_leaves_nothing(tmp_path: Path) -> None:
    files.write_bytes(tmp_path / "a", b"x")
    for _ in range(2):
        files.link_or_copy(tmp_path / "a", tmp_path / "b")
    assert names(tmp_path) == ["a", "b"]


def test_where_no_link_can_be_made_the_file_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    files.write_bytes(tmp_path / "a", bytes(range(256)) * 8192)
    monkeypatch.setattr(os, "link", refuse)
    files.link_or_copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()
    assert not (tmp_path / "a").samefile(tmp_path / "b")


def test_a_name_too_long_says_so(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="choose a shorter name"):
        files.write_bytes(tmp_path / ("x" * 255), b"x")


def test_a_parent_that_is_a_file_is_a_message(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentFault, match="file"):
        files.write_bytes(tmp_path / "file" / "a", b"x")


def test_files_opened_for_writing_are_closed_again(tmp_path: Path) -> None:
    before = len(names(Path("/proc/self/fd")))
    for i in range(50):
        files.write_bytes(tmp_path / str(i), b"x")
        with pytest.raises(ZeroDivisionError), files.replacing(tmp_path / "never", n_bytes=1):
            raise ZeroDivisionError
    assert len(names(Path("/proc/self/fd"))) == before
    assert not (tmp_path / "never").exists()
