"""ltp demo: what is refused before anything starts. tests/process/test_command_line.py runs it."""

import pytest

from ltp_service.cli import programs
from tests.cli.conftest import Run


def test_without_the_simulators_library_it_says_what_to_install(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "find_spec", lambda name: None)
    refused = run("demo")
    assert (refused.code, refused.out) == (1, "")
    assert "pip install 'ltp-service[demo]'" in refused.err


def test_a_refused_setting_is_told_before_anything_starts(run: Run) -> None:
    refused = run("demo", "--port", "http")
    assert (refused.code, refused.out) == (1, "")
    assert "PORT: 'http' refused" in refused.err
