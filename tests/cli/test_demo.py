"""ltp demo: where it listens, and what is refused before anything starts. tests/process/test_command_line.py runs it."""

import socket

import pytest

from ltp_service.cli import programs
from tests.cli.conftest import Became, Run


def test_without_the_simulators_library_it_says_what_to_install(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "find_spec", lambda name: None)
    refused = run("demo")
    assert (refused.code, refused.out) == (1, "")
    assert "pip install websockets" in refused.err


def test_a_refused_setting_is_told_before_anything_starts(run: Run) -> None:
    refused = run("demo", "--port", "http")
    assert (refused.code, refused.out) == (1, "")
    assert "PORT: 'http' refused" in refused.err


def test_only_this_machine_reaches_invented_prices_unless_host_says_otherwise(
    run: Run, became: Became
) -> None:
    run("demo", "--port", "0")
    run("demo", "--port", "0", HOST="::1")
    assert [environ["HOST"] for _, environ in became] == ["127.0.0.1", "::1"]


def test_a_port_in_use_is_told_and_nothing_starts(run: Run, became: Became) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = run("demo", "--port", str(port))
    assert (refused.code, refused.out, became) == (1, "", [])
    says = "(Address already in use); end the program that listens there, or set another PORT"
    assert refused.err == f"Error: 127.0.0.1:{port} cannot be used {says}\n"
