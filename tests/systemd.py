"""Reads the unit in deploy/systemd."""

import shlex
from collections import defaultdict

from tests.conftest import ROOT
from tests.dockerfile import environment as assignments

UNIT = ROOT / "deploy" / "systemd" / "ltp-service.service"


def read_service() -> dict[str, list[str]]:
    """Each name in [Service] with all its values; they may repeat, which an INI parser refuses."""
    text = UNIT.read_text().replace("\\\n", " ").partition("[Service]\n")[2].partition("\n[")[0]
    found = defaultdict(list)
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found[name].append(value)
    return dict(found)


SERVICE = read_service()


def environment() -> dict[str, str]:
    return assignments(" ".join(SERVICE["Environment"]))


def start_command() -> list[str]:
    (command,) = SERVICE["ExecStart"]
    return shlex.split(command)
