"""Dockerfile and .dockerignore, replayed without Docker: what the image would hold, and that it runs alone."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path, PurePosixPath
from threading import Thread
from typing import NamedTuple

import pytest

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
LAST = STEPS[-1].stage


def final(name: str) -> str:
    """The text of the only instruction of that name in the last stage."""
    (text,) = (step.text for step in STEPS if step.stage == LAST and step.name == name)
    return text


def environment() -> dict[str, str]:
    return dict(word.split("=", 1) for word in shlex.split(final("ENV")))


def copies() -> list[tuple[int, list[str], str]]:
    """Stage, sources in the project and destination of each COPY from there."""
    words = [
        (step.stage, shlex.split(step.text))
        for step in STEPS
        if step.name == "COPY" and not step.text.startswith("--from")
    ]
    return [(stage, sources, destination) for stage, (*sources, destination) in words]


# .dockerignore


def pattern(glob: str) -> re.Pattern[str]:
    """What a line matches, with everything below it (Docker: build context, .dockerignore syntax)."""
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", glob)
    return re.compile("".join(parts.get(each) or re.escape(each) for each in pieces) + "(?:/.*)?")


RULES = [
    (not line.startswith("!"), pattern(line.removeprefix("!")))
    for line in (ROOT / ".dockerignore").read_text().splitlines()
    if line and not line.startswith("#")
]


def is_let_through(path: Path) -> bool:
    """The last line that matches decides."""
    name = path.relative_to(ROOT).as_posix()
    return not next((ignored for ignored, rule in reversed(RULES) if rule.fullmatch(name)), False)


def files_of(source: str) -> list[Path]:
    """What COPY takes."""
    found = [ROOT / source, *(ROOT / source).rglob("*")]
    return [path for path in found if path.is_file() and is_let_through(path)]


@pytest.mark.parametrize("source", [source for _, sources, _ in copies() for source in sources])
def test_what_is_copied_exists_and_is_let_through(source: str) -> None:
    assert (ROOT / source).exists()
    assert files_of(source)


@pytest.mark.parametrize(
    "name", [".git/config", ".venv/pyvenv.cfg", "tests/conftest.py", "data/ltp.sqlite3", "README.md", ".env"]
)
def test_nothing_else_reaches_the_builder(name: str) -> None:
    assert not is_let_through(ROOT / name)
    assert not is_let_through(ROOT / "ltp_service" / "web" / "__pycache__" / "ltp.cpython-313.pyc")


# The image.


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working directory of the last stage, as its COPY steps fill it."""
    folder = tmp_path_factory.mktemp("image")
    for stage, sources, destination in copies():
        for path in (path for source in sources if stage == LAST for path in files_of(source)):
            (source,) = (each for each in sources if path.is_relative_to(ROOT / each))
            inside = path.relative_to(ROOT / source) if (ROOT / source).is_dir() else PurePosixPath(path.name)
            target = folder / destination / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    return folder


def run(folder: Path, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A command of the image, with the packages of this virtual environment."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.defpath])
    return subprocess.run(
        command,
        cwd=folder,
        env=environment() | {"PATH": path} | environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_image_holds_what_the_service_needs_and_no_more(image: Path) -> None:
    assert {each.name for each in image.iterdir()} == {
        *("configs", "gunicorn.conf.py", "ltp_service", "wsgi.py"),
    }


def test_the_copied_files_alone_give_the_application_to_gunicorn(image: Path) -> None:
    command = json.loads(final("CMD"))
    assert command[0] == "gunicorn"
    checked = run(image, *command, "--check-config")
    assert checked.returncode == 0, checked.stderr


def test_a_file_that_is_forgotten_is_noticed(image: Path, tmp_path: Path) -> None:
    shutil.copytree(image, tmp_path / "less", ignore=shutil.ignore_patterns("web"))
    assert run(tmp_path / "less", *json.loads(final("CMD")), "--check-config").returncode != 0


def test_the_packages_come_from_the_lock_with_hashes_before_the_source(tmp_path: Path) -> None:
    ((at, install),) = (
        (number, step)
        for number, step in enumerate(STEPS)
        if "--requirement" in step.text and step.name == "RUN"
    )
    copied = [step for step in STEPS[:at] if step.name == "COPY"]
    assert [step.text for step in copied] == ["requirements.txt ."]
    assert "--require-hashes" in install.text
    shutil.copyfile(ROOT / "requirements.txt", tmp_path / "requirements.txt")
    words = shlex.split(install.text.partition(" pip ")[2].replace("/opt/venv", sys.prefix))
    replayed = run(tmp_path, sys.executable, "-m", "pip", *words, "--dry-run", "--no-index")
    assert replayed.returncode == 0, replayed.stderr


def test_it_runs_as_a_user_who_owns_only_the_folder_of_the_database() -> None:
    user = final("USER").partition(":")[0]
    assert int(user) >= 10_000
    setup = final("RUN")
    assert f"--uid {user}" in setup
    folder = str(PurePosixPath(environment()["DATABASE_PATH"]).parent)
    assert setup.endswith(folder)
    assert final("VOLUME") == folder


def test_logs_are_not_held_back_and_term_stops_it() -> None:
    assert environment()["PYTHONUNBUFFERED"] == "1"
    assert final("STOPSIGNAL") == "SIGTERM"


def test_both_stages_begin_from_the_same_python() -> None:
    begun = [step.text.split()[0] for step in STEPS if step.name == "FROM"]
    assert begun == ["${PYTHON}", "${PYTHON}"]
    (argument,) = (step.text for step in STEPS if step.name == "ARG")
    assert re.fullmatch(r"PYTHON=python:3\.\d+-slim-\w+(@sha256:[0-9a-f]{64})?", argument)


# The health check.


class _Health(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def health() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), _Health) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_the_health_check_asks_the_service_past_any_proxy(
    health: HTTPServer, status: int, healthy: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Health, "status", status)
    command = json.loads(final("HEALTHCHECK").partition("CMD ")[2])
    checked = run(tmp_path, *command, PORT=str(health.server_port), http_proxy="http://127.0.0.1:9")
    assert (checked.returncode == 0) is healthy, checked.stderr


def test_the_health_check_fails_where_nothing_listens(tmp_path: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), _Health) as gone:
        port = gone.server_port
    command = json.loads(final("HEALTHCHECK").partition("CMD ")[2])
    assert run(tmp_path, *command, PORT=str(port)).returncode != 0
