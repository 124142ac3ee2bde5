"""The package as others have it: a wheel in an environment of its own, outside the checkout."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile

from tests.ended import PROJECT, ended

OUT_OF_REACH = "Failed to fetch"
"""What uv says where neither its cache nor an index has a package."""


class InstallFailed(Exception):
    """The message is uv's."""


class Installed:
    """The wheel, and the environment that it was installed into with the extra `demo`."""

    def __init__(self, folder: Path) -> None:
        """Takes the packages from uv's cache where it has them, else from the index. Raises InstallFailed."""
        _uv("build", "--quiet", "--wheel", "--out-dir", str(folder), str(PROJECT))
        (self.wheel,) = folder.glob("*.whl")
        environment = folder / "environment"
        self.bin = environment / "bin"
        _uv("venv", "--quiet", "--python", sys.executable, str(environment))
        lock = folder / "lock.txt"  # without the hashes, which a wheel that was just built has not
        lines = (PROJECT / "requirements.txt").read_text(encoding="utf-8").splitlines()
        lock.write_text("\n".join(line.split(" ")[0] for line in lines if "==" in line))
        asked = f"ltp-service[demo] @ {self.wheel.as_uri()}"
        python = ("--python", str(self.bin / "python"), "--constraints", str(lock))
        _uv("pip", "install", "--quiet", "--only-binary", ":all:", *python, asked)
        self.directory = folder / "elsewhere"
        self.directory.mkdir()

    def names(self) -> set[str]:
        """The files in the wheel."""
        with ZipFile(self.wheel) as wheel:
            return set(wheel.namelist())

    def run(self, program: str, *arguments: str) -> str:
        """What the Python program prints, run in a folder that is empty at first. Fails the test when it fails."""
        done = ended([self.bin / "python", "-W", "error", "-c", program, *arguments], cwd=self.directory)
        assert done.returncode == 0, done.stderr
        return done.stdout


def _uv(*arguments: str) -> None:
    uv = Path(sys.executable).with_name("uv")
    for where in (["--offline"], []):
        done = _ended([str(uv), *where, *arguments])
        if done.returncode == 0:
            return
    raise InstallFailed(done.stderr)


def _ended(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return ended(command, timeout=240)
