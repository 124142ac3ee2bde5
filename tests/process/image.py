"""Builds the image without Docker: each step of the Dockerfile in an empty folder that stands for its root.

Every absolute path in a step lies below the folder. The base image's Python is this machine's, its pip ours; the
virtual environment with the packages is made by the steps, from nothing.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from string import Template
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.dockerfile import STEPS, Step, environment, files_of, final, read_copy

SECONDS = 120.0
"""For one step; the packages may have to be downloaded."""

OF_THE_RESULT = frozenset({"CMD", "EXPOSE", "HEALTHCHECK", "STOPSIGNAL", "USER", "VOLUME"})
"""Instructions that change no file."""


def as_user() -> dict[str, Any]:
    """How a process is started as the image's user; an ordinary user can only be themselves."""
    user, _, group = final("USER").partition(":")
    return {"user": int(user), "group": int(group), "extra_groups": []} if os.getuid() == 0 else {}


def public_python() -> Path:
    """The first interpreter that the image's user may run too, ours if possible; skips the test without any."""
    names = ["python3.13", "python3.12", "python3.11", "python3"]
    found = [shutil.which(name, path=f"/usr/local/bin{os.pathsep}{os.defpath}") for name in names]
    for path in [str(Path(sys.executable).resolve()), *filter(None, found)]:
        with suppress(PermissionError):
            new_enough = [path, "-c", "import sys, venv; sys.exit(sys.version_info < (3, 11))"]
            if subprocess.run(new_enough, check=False, timeout=SECONDS, **as_user()).returncode == 0:
                return Path(path)
    # One that only root may run, as in root's home, cannot be the image's: that is this machine, not the project.
    pytest.skip("no Python >= 3.11 that every user may run: install Debian's python3")


class StepFailed(Exception):
    """A RUN step failed; the message is its output."""


class Image:
    """What the steps have made so far."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.root = folder / "root"
        self._base = folder / "python"
        self._base.mkdir()
        (self._base / "python").symlink_to(public_python())
        (self._base / "pip").symlink_to(Path(sys.executable).with_name("pip"))
        self._stage = ""
        self.directory = self.root
        self.environ: dict[str, str] = {}

    def inside(self, text: str) -> str:
        """The text with every absolute path below the root."""
        return re.sub(r"(?:(?<=^)|(?<=[\s=:]))/", f"{self.root}/", text)

    @property
    def volumes(self) -> list[Path]:
        return [Path(self.inside(name)) for name in final("VOLUME").split()]

    def take(self, step: Step) -> None:
        """Raises StepFailed; KeyError for an instruction that is unknown here."""
        if step.stage == 0 or step.name in OF_THE_RESULT:
            return
        {
            "FROM": self._from,
            "WORKDIR": self._workdir,
            "ENV": self._env,
            "COPY": self._copy,
            "RUN": self._run,
        }[step.name](step.text)

    def _from(self, text: str) -> None:
        """An empty root; the one before is kept under its stage's name."""
        if self.root.exists():
            self.root.rename(self._folder / self._stage)
        self.root.mkdir()
        self._stage = text.partition(" AS ")[2]
        self.directory = self.root
        self.environ = {"PATH": os.pathsep.join([str(self._base), os.defpath])}

    def _workdir(self, text: str) -> None:
        self.directory = Path(self.inside(text))
        self.directory.mkdir(parents=True, exist_ok=True)

    def _env(self, text: str) -> None:
        given = environment(self.inside(text))
        self.environ |= {name: Template(value).safe_substitute(self.environ) for name, value in given.items()}

    def _copy(self, text: str) -> None:
        stage, sources, destination = read_copy(text)
        for source in sources:
            if stage:
                taken = self._folder / stage / source.lstrip("/")
                shutil.copytree(taken, self.inside(destination), symlinks=True)
            else:
                self._copy_project(source, self.directory / destination)

    @staticmethod
    def _copy_project(source: str, target: Path) -> None:
        """A folder gives what is in it, a file goes into the target (Docker: COPY)."""
        for path in files_of(source):
            inside = path.relative_to(ROOT / source) if (ROOT / source).is_dir() else Path(path.name)
            (target / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target / inside)

    def start(self, words: list[str], settings: Mapping[str, str]) -> subprocess.Popen[str]:
        """A command of the image as its user, with these settings beside its own."""
        return subprocess.Popen(
            words,
            cwd=self.directory,
            env={"HOME": "/", **self.environ, **settings},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **as_user(),
        )

    def run(self, words: list[str], settings: Mapping[str, str]) -> tuple[int, str]:
        """The exit code and the output of a command that ends by itself."""
        with self.start(words, settings) as process:
            output, _ = process.communicate(timeout=SECONDS)
        return process.returncode, output

    def _run(self, text: str) -> None:
        script = re.sub(r"--mount=\S+ ", "", text)
        if os.getuid() != 0:  # then nothing can be given to another user, and stays ours
            script = re.sub(r"--(owner|group) \d+ ", "", script)
        # For pip's index, cache and proxy.
        machine = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        done = subprocess.run(
            ["/bin/sh", "-c", self.inside(script)],
            cwd=self.directory,
            env={**machine, **self.environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        if done.returncode:
            raise StepFailed(f"RUN {text}\n{done.stdout}")


def build(folder: Path) -> Image:
    """The last stage, with a tree that is writable in the volumes alone."""
    image = Image(folder)
    for step in STEPS:
        image.take(step)
    for path in [image.root, *image.root.rglob("*")]:
        if path not in image.volumes and not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o222)
    return image
