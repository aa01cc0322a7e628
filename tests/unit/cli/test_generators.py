"""From how many processes and machines the load comes, as the options say it."""

import socket

import pytest

from loadplan.cli import generators
from loadplan.cli.generators import crew_of, launch_of
from loadplan.errors import InputError
from loadplan.load.crew.together import LocalCrew, RemoteCrew


def crew(
    n_processes: int = 1, *, is_master: bool = False, n_expected: int = 1, join_limit: str = "300s"
) -> LocalCrew | RemoteCrew | None:
    return crew_of(
        n_processes=n_processes,
        is_master=is_master,
        n_expected=n_expected,
        join_limit=join_limit,
        host="127.0.0.1",
        port=5557,
    )


def test_one_process_is_no_crew() -> None:
    assert crew() is None


@pytest.mark.parametrize(
    ("usable", "n_processes", "cores"),
    [((0, 1, 2, 3), 2, (2, 3)), ((4, 6, 7), 2, (6, 7)), ((0, 1), 2, ()), ((0,), 3, ())],
    ids=["the last two", "of those that may be used", "none is left for the server", "fewer cores than processes"],
)
def test_each_process_has_a_core_where_one_is_left_for_the_server(
    usable: tuple[int, ...], n_processes: int, cores: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadplan.machine.usable_cores", lambda: usable)
    assert crew(n_processes) == LocalCrew(n_workers=n_processes, cores=cores)


def test_a_master_waits_on_loopback_unless_told_otherwise() -> None:
    assert crew(is_master=True, n_expected=3, join_limit="2m") == RemoteCrew(
        n_workers=3, join_limit_s=120.0, host="127.0.0.1", port=5557
    )


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"n_processes": 0}, "--processes"),
        ({"is_master": True, "n_expected": 0}, "--expect-workers"),
        ({"n_processes": 2, "is_master": True}, "--processes, --master"),
    ],
)
def test_what_makes_no_crew_is_refused(options: dict[str, int], where: str) -> None:
    with pytest.raises(InputError) as caught:
        crew(**options)  # type: ignore[arg-type]
    assert caught.value.where == where


def test_a_page_whose_port_is_taken_is_refused_before_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port}"):
            launch_of(None, shows_web=True, web_port=port)
    assert launch_of(None, shows_web=True, web_port=port).web_port == port
    assert f"http://127.0.0.1:{port}" in capsys.readouterr().err
    assert launch_of(None, shows_web=False, web_port=generators.DEFAULT_WEB_PORT).web_port is None
