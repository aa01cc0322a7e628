"""Fetching prices, from a server of HTTP on this machine: what comes is kept, what is broken changes nothing."""

import io
import threading
import zipfile
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from loadplan.catalog.imported import imported_files
from loadplan.catalog.reader import load_catalog
from loadplan.catalog.update import update_catalog
from loadplan.errors import EnvironmentFault, InputError
from tests.unit.catalog.test_lists import GPUHUNT

TODAY = date(2026, 11, 24)
AWS = f"{GPUHUNT}\nc7i.large,us-east-1,0.09,2,4.0,0,,,False,,,x86,\n"
LAMBDA = f"{GPUHUNT}\ngpu_1x_a10,us-east-1,0.75,30,200.0,1,A10,24.0,False,,nvidia,x86,\n"


class Source(ThreadingHTTPServer):
    """Answers each path with its bytes; one that is promised longer than it is breaks off."""

    answers: dict[str, bytes]
    n_missing_bytes: int = 0


class _Handler(BaseHTTPRequestHandler):
    server: Source

    def do_GET(self) -> None:
        body = self.server.answers.get(self.path)
        self.send_response(404 if body is None else 200)
        cut = self.server.n_missing_bytes if self.path.endswith(".zip") else 0
        self.send_header("Content-Length", str(len(body or b"") + cut))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def source() -> Iterator[Source]:
    with Source(("127.0.0.1", 0), _Handler) as server:
        server.answers = {"/version": b"20261120-7\n", "/20261120-7/catalog.zip": archive()}
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def archive(**files: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in (files or {"aws": AWS, "lambdalabs": LAMBDA}).items():
            made.writestr(f"{name}.csv", text)
    return data.getvalue()


def url_of(source: Source) -> str:
    return f"http://127.0.0.1:{source.server_address[1]}"


def test_what_comes_lies_over_the_shipped_prices_with_the_day_of_the_list(source: Source, tmp_path: Path) -> None:
    made = update_catalog(today=TODAY, url=url_of(source), folder=tmp_path)
    assert (made.version, len(made.listed.rows)) == ("20261120-7", 2)
    offers = {one.name: one for one in load_catalog(as_of=TODAY, imported=imported_files(tmp_path)).offers}
    fetched = offers["aws/us-east-1/c7i.large/on_demand"]
    assert (str(fetched.usd_per_hour), fetched.layer, fetched.price_date) == (
        "0.09",
        "imported gpuhunt",
        date(2026, 11, 20),
    )
    # gpuhunt says lambdalabs.
    assert offers["lambda/us-east-1/gpu_1x_a10/on_demand"].instance_type.accelerator == "A10"


def test_only_the_providers_asked_for_are_kept(source: Source, tmp_path: Path) -> None:
    made = update_catalog(today=TODAY, url=url_of(source), providers=["lambda"], folder=tmp_path)
    assert [row.provider for row in made.listed.rows] == ["lambda"]


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        pytest.param({}, "can't be fetched: HTTP Error 404", id="nothing there"),
        pytest.param({"/version": b"<html>"}, "no version of a catalogue", id="an error page"),
        pytest.param({"/version": b"20269999"}, "no version of a catalogue", id="no date"),
        pytest.param({"/version": b"20261125"}, "of 2026-11-25, after 2026-11-24", id="of tomorrow"),
        pytest.param({"/version": b"20261120"}, "can't be fetched: HTTP Error 404", id="no archive"),
        pytest.param(
            {"/version": b"20261120", "/20261120/catalog.zip": b"<html>"}, "no zip archive", id="an archive of HTML"
        ),
        pytest.param(
            {"/version": b"20261120", "/20261120/catalog.zip": archive(aws="<html>")},
            "something else than prices",
            id="pages in the archive",
        ),
    ],
)
def test_an_update_that_fails_leaves_the_old_list(
    source: Source, tmp_path: Path, answers: dict[str, bytes], words: str
) -> None:
    update_catalog(today=TODAY, url=url_of(source), folder=tmp_path)
    before = [(file, file.read_bytes()) for file in tmp_path.iterdir()]
    source.answers = answers
    with pytest.raises(EnvironmentFault, match=words) as caught:
        update_catalog(today=TODAY, url=url_of(source), folder=tmp_path)
    assert "the catalogue is as it was" in caught.value.fix
    assert [(file, file.read_bytes()) for file in tmp_path.iterdir()] == before


def test_a_connection_that_breaks_off_leaves_the_old_list(source: Source, tmp_path: Path) -> None:
    source.n_missing_bytes = 100
    with pytest.raises(EnvironmentFault, match="can't be fetched"):
        update_catalog(today=TODAY, url=url_of(source), folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_archive_leaves_the_old_list(source: Source, tmp_path: Path) -> None:
    data = bytearray(archive())
    data[45] ^= 0xFF  # within the first file's bytes
    source.answers["/20261120-7/catalog.zip"] = bytes(data)
    with pytest.raises(EnvironmentFault):
        update_catalog(today=TODAY, url=url_of(source), folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nobody_at_the_other_end_is_said(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="can't be fetched"):
        update_catalog(today=TODAY, url="http://127.0.0.1:9", folder=tmp_path)


def test_only_the_web_is_asked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no web address"):
        update_catalog(today=TODAY, url="file:///etc", folder=tmp_path)
