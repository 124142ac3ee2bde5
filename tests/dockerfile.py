"""Reads Dockerfile and .dockerignore: the steps, and what the builder is given."""

import json
import re
import shlex
from pathlib import Path
from typing import NamedTuple

from tests.conftest import ROOT


class Step(NamedTuple):
    """One instruction of the Dockerfile."""

    stage: int
    """Counted from 1; 0 before the first FROM."""
    name: str
    text: str


def read_steps() -> list[Step]:
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    steps, stage = [], 0
    for line in filter(None, text.splitlines()):
        name, _, rest = line.partition(" ")
        stage += name == "FROM"
        steps.append(Step(stage, name, rest.strip()))
    return steps


STEPS = read_steps()


def final(name: str) -> str:
    """The text of the only instruction of that name in the last stage."""
    (text,) = (step.text for step in STEPS if step.stage == STEPS[-1].stage and step.name == name)
    return text


def environment(text: str) -> dict[str, str]:
    """What an ENV sets."""
    return dict(word.split("=", 1) for word in shlex.split(text))


def command() -> list[str]:
    found: list[str] = json.loads(final("CMD"))
    return found


def health_check() -> list[str]:
    found: list[str] = json.loads(final("HEALTHCHECK").partition("CMD ")[2])
    return found


class Copy(NamedTuple):
    """A COPY step."""

    stage: str
    """The stage that it copies from; empty for the project."""
    sources: list[str]
    destination: str


def read_copy(text: str) -> Copy:
    stage, words = re.fullmatch(r"(?:--from=(\S+) )?(.*)", text).groups("")  # type: ignore[union-attr]
    *sources, destination = shlex.split(words)
    return Copy(stage, sources, destination)


def copied_sources() -> list[str]:
    """Everything in the project that a COPY names."""
    copies = [read_copy(step.text) for step in STEPS if step.name == "COPY"]
    return [source for copy in copies if not copy.stage for source in copy.sources]


def _pattern(glob: str) -> re.Pattern[str]:
    """What a line matches, with everything below it (Docker: build context, .dockerignore syntax)."""
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", glob)
    return re.compile("".join(parts.get(each) or re.escape(each) for each in pieces) + "(?:/.*)?")


_RULES = [
    (not line.startswith("!"), _pattern(line.removeprefix("!")))
    for line in (ROOT / ".dockerignore").read_text().splitlines()
    if line and not line.startswith("#")
]


def is_let_through(path: Path) -> bool:
    """Whether .dockerignore gives it to the builder: the last line that matches decides."""
    name = path.relative_to(ROOT).as_posix()
    return not next((ignored for ignored, rule in reversed(_RULES) if rule.fullmatch(name)), False)


def files_of(source: str) -> list[Path]:
    """What COPY takes."""
    found = [ROOT / source, *(ROOT / source).rglob("*")]
    return [path for path in found if path.is_file() and is_let_through(path)]
