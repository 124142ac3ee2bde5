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


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs one command; settings by keyword, and no others."""

    def command(*arguments: str, **environ: str) -> Ended:
        return Ended(main(arguments, environ), *capsys.readouterr())

    return command
