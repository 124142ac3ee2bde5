"""Programs and libraries from npm, in a place of a test's own."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.ended import ended
from tests.programs import require_program


def node_packages(tmp_path_factory: pytest.TempPathFactory, packages: Sequence[str]) -> Path:
    """The folder that they are installed in; skips the test where npm cannot reach them."""
    require_program("node")
    folder = tmp_path_factory.mktemp("npm")
    command = [require_program("npm"), "install", "--prefix", str(folder), "--cache", str(folder / "cache")]
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-save", "--no-update-notifier"]
    done = ended([*command, *options, *packages], cwd=folder, timeout=None)
    if done.returncode:
        # A machine without a way to npm's packages says nothing about what is tested. With CI=true a skip is a failure.
        pytest.skip(f"npm cannot install {', '.join(packages)}: {done.stderr}")
    return folder / "node_modules"


def run(*command: str | Path, folder: Path) -> str:
    """What the program writes; it must not fail."""
    done = ended(command, cwd=folder, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
