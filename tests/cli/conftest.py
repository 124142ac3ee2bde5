"""Running one command of the command line in this process."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from ltp_service.cli import main


@dataclass
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Ended]

Became = list[tuple[list[str], dict[str, str]]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs one command; settings by keyword, and no others."""

    def command(*arguments: str, **environ: str) -> Ended:
        return Ended(main(arguments, environ), *capsys.readouterr())

    return command


@pytest.fixture
def became(monkeypatch: pytest.MonkeyPatch) -> Became:
    """The programs that this process would have become, each with its environment."""
    calls: Became = []
    monkeypatch.setattr("os.execve", lambda path, arguments, environ: calls.append((arguments, environ)))
    return calls
