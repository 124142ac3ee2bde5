"""The programs from Debian's packages that tests run, and how a test asks for one."""

import os
import shutil
from pathlib import Path

import pytest

PACKAGES = {
    "nginx": "nginx-light",
    "redis-server": "redis-server",
    "initdb": "postgresql",
    "postgres": "postgresql",
    "systemd-analyze": "systemd",
    "promtool": "prometheus",
    "chromium-headless-shell": "chromium-headless-shell",  # Chromium without its windows costs half as much
    "node": "nodejs",  # for the clients that are generated from our document
    "npm": "npm",
    "openssl": "openssl",
    "faketime": "faketime",  # for the fire drill's steps of the clock
    "wrk": "wrk",  # for `make bench`, which has a load generator of its own where it is missing
}
"""Program to the Debian package that brings it; `make programs` installs what is missing."""

# Debian keeps daemons out of an ordinary user's path, and PostgreSQL's programs in a folder of each version.
_POSTGRESQL = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
SEARCH_PATH = os.pathsep.join(
    [os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin", *_POSTGRESQL]
)


def find_program(name: str) -> str | None:
    """The program's absolute path, or None where it is not installed."""
    return shutil.which(name, path=SEARCH_PATH)


def require_program(name: str) -> str:
    """The program's absolute path; skips the test, naming the remedy, where it is not installed."""
    path = find_program(name)
    if path is None:
        # `make test` installs it where it may; who is not root has all other tests. With CI=true a skip is a failure.
        pytest.skip(f"{name} is not installed: sudo apt-get install {PACKAGES[name]}")
    return path


if __name__ == "__main__":
    print(*{package: None for name, package in PACKAGES.items() if find_program(name) is None})
