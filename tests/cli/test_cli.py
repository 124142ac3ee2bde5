"""ltp: the group of all commands, and what holds for each of them."""

import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from ltp_service import __main__ as program
from ltp_service.cli import COMMANDS, ltp, main
from ltp_service.keys.key import is_well_formed
from ltp_service.version import VERSION
from tests.cli.conftest import Became, Run
from tests.ended import ended

HEAVY = "flask gunicorn pydantic gevent requests rich yaml"
"""Libraries that a command loads only where it needs them."""

LIGHT = {"serve": "", "price": "", "watch": "rich", "replay": ""}
"""Commands that start often, or become another program, and what their modules load of them."""


def command_of(name: str) -> click.Command:
    command = ltp.get_command(click.Context(ltp), name)
    assert command is not None
    return command


def test_the_list_says_of_each_command_what_it_says_of_itself(run: Run) -> None:
    shown = run("--help")
    assert shown.code == 0
    for name, about in COMMANDS.items():
        assert command_of(name).get_short_help_str(limit=200) == about
        assert name in shown.out


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_each_command_has_an_example_of_it(name: str, run: Run) -> None:
    told = " ".join(run(name, "--help").out.split())
    assert "Example: " in told
    assert f"ltp {name}" in told.partition("Example: ")[2]


def loaded(*names: str) -> set[str]:
    """The heavy libraries that a process has after it has loaded these commands."""
    modules = ", ".join(f"ltp_service.cli.{name}" for name in names)
    look = f"import sys, {modules}; print(*set({HEAVY!r}.split()) & set(sys.modules))"
    return set(ended([sys.executable, "-c", look], check=True).stdout.split())


@pytest.mark.parametrize("name", LIGHT)
def test_a_light_command_loads_no_library_that_it_does_not_need(name: str) -> None:
    assert loaded(name) == set(LIGHT[name].split())


def test_no_command_loads_a_server() -> None:
    assert not loaded(*COMMANDS) & {"flask", "gunicorn"}


def test_the_version_is_told(run: Run) -> None:
    assert run("--version").out == f"ltp {VERSION}\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Usage: ltp"),
        (["prise"], "No such command 'prise'. Did you mean 'price'?"),
        (["--steal"], "No such option"),
    ],
)
def test_wrong_usage_of_the_program_ends_in_2(arguments: list[str], says: str, run: Run) -> None:
    wrong = run(*arguments)
    assert (wrong.code, wrong.out) == (2, "")
    assert says in wrong.err


def test_ctrl_c_ends_in_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command_of("openapi"), "callback", interrupt)
    assert main(["openapi"], {}) == 130


@pytest.mark.parametrize(("command", "code"), [("price", 130), ("demo", 0)])
def test_ctrl_c_while_the_commands_are_loaded_ends_without_a_traceback(
    command: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(_: str) -> SimpleNamespace:
        signal.raise_signal(signal.SIGINT)
        return SimpleNamespace(main=lambda: 5)

    ends: list[int] = []
    monkeypatch.setattr("os._exit", ends.append)
    monkeypatch.setattr(program, "import_module", load)
    monkeypatch.setattr(sys, "argv", ["ltp", command])
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert (program.run(), ends) == (5, [code])
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("command", ["config", "serve"])
def test_a_working_directory_that_is_gone_is_one_line(
    command: str, run: Run, became: Became, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tmp_path.rmdir()
    refused = run(command)
    says = "Error: the working directory was removed; change to one that is there\n"
    assert (refused.code, refused.out, refused.err, became) == (1, "", says, [])


def test_term_ends_a_command_as_an_exception_does(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = SimpleNamespace(main=lambda: signal.raise_signal(signal.SIGTERM))
    monkeypatch.setattr(program, "import_module", lambda _: loaded)
    before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        with pytest.raises(SystemExit) as ended_by:
            program.run()
    finally:
        for number, handler in before:
            signal.signal(number, handler)
    assert ended_by.value.code == 143


def test_a_shell_is_given_the_commands_to_complete() -> None:
    asked = {"_LTP_COMPLETE": "bash_complete", "COMP_WORDS": "ltp ke", "COMP_CWORD": "1"}
    shown = ended([sys.executable, "-m", "ltp_service"], env=asked)
    assert shown.stdout == "plain,keys\n"


def test_the_module_is_a_program_with_the_exit_code_of_its_command(tmp_path: Path) -> None:
    path = tmp_path / "ltp.sqlite3"
    command = [sys.executable, "-m", "ltp_service", "keys", "create", "--name", "ops"]
    done = ended(command, env={"DATABASE_PATH": str(path)}, check=True)
    assert is_well_formed(done.stdout.strip())
    path.unlink()
    path.mkdir()
    failed: subprocess.CompletedProcess[str] = ended(command, env={"DATABASE_PATH": str(path)})
    assert (failed.returncode, failed.stdout, failed.stderr.count("\n")) == (1, "", 1)
