"""Load goes to loopback unless the host was named."""

import socket

import pytest

from loadplan.errors import EnvironmentFault, InputError
from loadplan.load.target.address import find_target


def test_a_listening_server_is_found_by_name() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        target = find_target(f"http://localhost:{port}/path")
    assert (target.family, target.address) == (socket.AF_INET, ("127.0.0.1", port))
    assert target.host == f"localhost:{port}"


def test_nobody_listening_is_a_fault_of_the_environment() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(EnvironmentFault, match="no answer at all"):
        find_target(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("url", ["http://192.0.2.1:80", "http://[2001:db8::1]/"])
def test_a_host_that_was_not_named_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(InputError, match="load goes only to loopback"):
        find_target(url)


@pytest.mark.parametrize("url", ["localhost:80", "https://localhost", "http://", "http://h:port", "ftp://h"])
def test_an_address_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="not of the form"):
        find_target(url)


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(InputError) as caught:
        find_target("http://me:secret@localhost:1")
    assert "secret" not in str(caught.value)
