"""deploy/nginx-front.conf in a test's own folder, in front of a test's own machines."""

from collections.abc import Mapping
from pathlib import Path

from tests.process.nginx import HAS_IPV6, moved
from tests.simulator.client import PROJECT

CONFIGURATION = PROJECT / "deploy" / "nginx-front.conf"
MACHINES = ("machine-1:8080", "machine-2:8080")
"""Those that it names."""


def in_front(machines: Mapping[str, str], folder: Path, port: int) -> str:
    """With all its places inside the folder. `machines`: to each that it names the address of ours."""
    places = {
        "listen 80 ": f"listen 127.0.0.1:{port} ",
        "listen [::]:80 ": f"listen [::1]:{port} " if HAS_IPV6 else "# ",
        "/run/nginx.pid": f"{folder}/nginx.pid",
        "/var/cache/nginx/": f"{folder}/",
        "/var/log/nginx/": f"{folder}/",
    }
    return moved(CONFIGURATION, {**places, **machines})
