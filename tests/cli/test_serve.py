"""ltp serve: which program it becomes, and with which environment."""

from pathlib import Path

import pytest

from ltp_service.cli import programs
from tests.cli.conftest import Became, Run


def test_it_becomes_gunicorn_with_the_settings_of_the_checkout(run: Run, became: Became) -> None:
    assert run("serve", PORT="9000").code == 0
    [(arguments, environ)] = became
    start, script, *options = arguments[2:]
    assert Path(start).name == "server_start.py"
    assert Path(script).name == "gunicorn"
    assert options[0] == "--config"
    assert Path(options[1]).read_text().startswith('"""How gunicorn runs the service.')
    assert options[-1] == "wsgi:app"
    assert environ == {"PORT": "9000"}


def test_an_option_beats_the_environment(run: Run, became: Became) -> None:
    run("serve", "--host", "127.0.0.1", "--port", "9001", PORT="9000", LOG_LEVEL="debug")
    [(_, environ)] = became
    assert environ == {"HOST": "127.0.0.1", "PORT": "9001", "LOG_LEVEL": "debug"}


def test_what_follows_two_dashes_goes_to_gunicorn(run: Run, became: Became) -> None:
    run("serve", "--", "--reload", "--backlog", "9")
    [(arguments, _)] = became
    assert arguments[-3:] == ["--reload", "--backlog", "9"]


def test_a_word_that_is_no_option_of_gunicorn_is_wrong_usage(run: Run, became: Became) -> None:
    wrong = run("serve", "now")
    assert (wrong.code, became) == (2, [])
    assert "unexpected extra argument (now)" in wrong.err


def test_outside_a_checkout_the_settings_are_the_packages_own(
    run: Run, became: Became, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(programs, "PACKAGE", tmp_path / "ltp_service")
    run("serve")
    [(arguments, _)] = became
    assert arguments[4:] == [
        "--config",
        str(tmp_path / "ltp_service/gunicorn.conf.py"),
        "ltp_service.wsgi:app",
    ]
