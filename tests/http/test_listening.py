"""ltp_service.http.listening"""

import logging
import socket
from typing import Any

import pytest

from ltp_service.http.listening import EVERYWHERE, tell_of_ports_in_use, where_it_listens

ANY_IPV4, ANY_IPV6 = EVERYWHERE


@pytest.mark.parametrize(
    ("addresses", "told"),
    [
        ([(ANY_IPV4, 8080)], "http://localhost:8080; the API is described at http://localhost:8080/docs"),
        ([(ANY_IPV6, 80, 0, 0)], "http://localhost:80; the API is described at http://localhost:80/docs"),
        (
            [(ANY_IPV4, 8080), (ANY_IPV6, 8080, 0, 0)],
            "http://localhost:8080; the API is described at http://localhost:8080/docs",
        ),
        ([("192.0.2.7", 80)], "http://192.0.2.7:80; the API is described at http://192.0.2.7:80/docs"),
        ([("::1", 81, 0, 0)], "http://[::1]:81; the API is described at http://[::1]:81/docs"),
        (["/run/http.sock"], "unix:/run/http.sock; the API is described at its path /docs"),
        ([b"\0hidden"], "unix:@hidden; the API is described at its path /docs"),
        (
            ["/run/http.sock", ("127.0.0.1", 8080)],
            "unix:/run/http.sock, http://127.0.0.1:8080; the API is described at http://127.0.0.1:8080/docs",
        ),
    ],
)
def test_every_address_is_told_in_a_form_that_can_be_opened(addresses: list[Any], told: str) -> None:
    assert where_it_listens(addresses) == f"serving at {told}"


def test_with_a_certificate_it_is_https() -> None:
    assert where_it_listens([("127.0.0.1", 8443)], "https").startswith("serving at https://127.0.0.1:8443;")


def test_only_a_port_that_another_program_has_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Of all that gunicorn may be told to listen at: an open file, a unix socket, a free port and a taken one."""
    with socket.create_server(("127.0.0.1", 0)) as other, caplog.at_level(logging.WARNING, "ltp_service"):
        tell_of_ports_in_use([3, "/run/http.sock", ("127.0.0.1", 0), other.getsockname()])
        port = other.getsockname()[1]
    (told,) = caplog.messages
    assert told.startswith(
        f"127.0.0.1:{port} is in use by another program: end that one, or set PORT or HOST"
    )
