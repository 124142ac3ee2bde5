"""Reads docker-compose.yml, and runs what its shells run."""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.conftest import ROOT
from tests.ended import ended

TEXT = (ROOT / "docker-compose.yml").read_text()
FILE = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}|\$\$")
"""What Compose replaces in a text: a variable, with what counts where it is empty; and the sign of a dollar."""


def interpolated(text: str, chosen: Mapping[str, str]) -> str:
    """The text as Compose gives it when these variables are set."""
    return VARIABLE.sub(lambda found: chosen.get(found[1]) or found[2] if found[1] else "$", text)


def environment(name: str, chosen: Mapping[str, str]) -> dict[str, str]:
    """The variables of a container."""
    given: dict[str, str] = SERVICES[name]["environment"]
    return {variable: interpolated(text, chosen) for variable, text in given.items()}


def settings(**chosen: str) -> dict[str, str]:
    """The service's, when these variables are set and there is no file .env."""
    return {name: text for name, text in environment("ltp", chosen).items() if name != "GRAFANA_PASSWORD"}


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """Place in the container → what is there: a path of the project or a volume."""
    parts = [text.split(":") for text in service.get("volumes", [])]
    return {place: source for source, place, *_ in parts}


class Begun(NamedTuple):
    """The program that the shell of a container becomes."""

    program: str
    arguments: list[str]
    environ: dict[str, str]


def begin(name: str, folder: Path, **chosen: str) -> Begun:
    """Runs the shell of a container; `folder` stands for the volume that the container writes to. In place of the program
    one begins that tells how it was called."""
    service = SERVICES[name]
    shell, option, script = service.get("entrypoint") or service["command"]
    (volume,) = (place for place, source in mounts(service).items() if source in FILE["volumes"])
    (program,) = re.findall(r"exec (\S+)", script)
    teller = "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))"
    script = interpolated(script, chosen).replace(program, f"{sys.executable} -c '{teller}'")
    for place, there in {volume: folder, "/password.sh": ROOT / mounts(service)["/password.sh"]}.items():
        script = script.replace(place, str(there))
    done = ended(
        [shell, option, script], check=True, env={"PATH": "/usr/bin:/bin", **environment(name, chosen)}
    )
    arguments, environ = json.loads(done.stdout)
    return Begun(program, arguments, environ)
