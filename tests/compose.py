"""Reads docker-compose.yml."""

import re
from typing import Any

import yaml

from tests.conftest import ROOT

FILE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = FILE["services"]


def settings() -> dict[str, str]:
    """The service's, as Compose gives them before anything is chosen."""
    given: dict[str, str] = SERVICES["ltp"]["environment"]
    return {name: re.sub(r"\$\{\w+:(?:-([^}]*)|\?[^}]*)\}", r"\1", value) for name, value in given.items()}


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """Place in the container → what is there: a path of the project or a volume."""
    parts = [text.split(":") for text in service.get("volumes", [])]
    return {place: source for source, place, *_ in parts}
