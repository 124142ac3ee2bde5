"""Runs nginx as it is to be run for real, deploy/nginx.conf, in front of a service on a unix socket."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from tests.deadline import DEADLINE
from tests.process.answer import Answer, ask
from tests.process.service import Service, children_of
from tests.programs import require_program
from tests.simulator.client import PROJECT, Simulator

HAS_IPV6 = Path("/proc/net/if_inet6").exists() and "lo" in Path("/proc/net/if_inet6").read_text().split()

CONFIGURATION = PROJECT / "deploy" / "nginx.conf"
CONFIGURED = "nginx.conf"
"""What one nginx reads, in its own folder."""

_LEFT = re.compile(
    r"^(\S+ \S+) .* (\*\d+) .* while (?:sending request to|reading response header from) upstream",
    re.MULTILINE,
)
"""The second and the client's connection; a request that meets several dead connections has a line for each."""


class Nginx:
    """A running nginx."""

    def __init__(self, program: str, folder: Path, listeners: list[socket.socket]) -> None:
        self._program = program
        self._folder = folder
        self._process = _started(program, folder, listeners)
        self.port: int = listeners[0].getsockname()[1]

    @property
    def master_pid(self) -> int:
        return self._process.pid

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """On a connection of its own."""
        with closing(self.connection()) as connection:
            return ask(connection, path, headers)

    def connection(self) -> http.client.HTTPConnection:
        """A new one, to be closed."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)

    def stop(self) -> None:
        """Ends it and waits for it, after which all of its log is written."""
        self._process.terminate()
        self._process.wait(DEADLINE)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """It reads and writes nothing meanwhile; the system goes on to take in what it is sent."""
        workers = children_of(self._process.pid)
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)
        try:
            yield
        finally:
            for worker in workers:
                os.kill(worker, signal.SIGCONT)

    @contextmanager
    def gone(self) -> Iterator[None]:
        """Its processes are killed, and others listen at the same port afterwards."""
        for pid in (self._process.pid, *children_of(self._process.pid)):
            os.kill(pid, signal.SIGKILL)
        self._process.wait()
        try:
            yield
        finally:
            with ExitStack() as stack:
                self._process = _started(self._program, self._folder, _listeners(stack, self.port))

    def access_log(self) -> list[dict[str, Any]]:
        """Its lines; complete only when it was stopped. Raises ValueError for one that is not a JSON object."""
        return [json.loads(line) for line in (self._folder / "access.log").read_bytes().splitlines()]

    def error_log(self) -> str:
        """Complete only when it was stopped."""
        return (self._folder / "error.log").read_text(errors="replace")

    def left_unanswered(self) -> int:
        """Requests for which nginx had to ask once more, as a worker ended over them."""
        return len(set(_LEFT.findall(self.error_log())))


@contextmanager
def behind_nginx(simulator: Simulator, **settings: str) -> Iterator[tuple[Nginx, Service]]:
    """nginx and, behind it, a service that answers at a port of its own too."""
    program = require_program("nginx")
    with (
        own_folder() as folder,
        Service.start(simulator, fed=True, **reachable(folder), **settings) as service,
        running_nginx(program, folder) as nginx,
    ):
        yield nginx, service


def reachable(folder: Path, name: str = "http.sock") -> dict[str, str]:
    """The settings of a service that answers both at a port and to the nginx of that folder."""
    binds = f"--bind 127.0.0.1:0 --bind unix:{folder}/{name}"
    return {"GUNICORN_CMD_ARGS": binds, "TRUSTED_PROXIES": "1"}


@contextmanager
def own_folder() -> Iterator[Path]:
    """For whatever one nginx reads and writes."""
    with tempfile.TemporaryDirectory(prefix="ltp-nginx-") as folder:
        Path(folder).chmod(0o755)  # for nginx's worker, which is another user where we are root
        yield Path(folder)


@contextmanager
def running_nginx(
    program: str, folder: Path, configured: Callable[[Path, int], str] | None = None
) -> Iterator[Nginx]:
    """nginx on a free port, in front of `folder`/http.sock; or as `configured` for the folder and the port."""
    with ExitStack() as stack:
        listeners = _listeners(stack)
        port: int = listeners[0].getsockname()[1]
        configuration = configured(folder, port) if configured else shipped(folder, port)
        (folder / CONFIGURED).write_text(configuration)
        nginx = Nginx(program, folder, listeners)
    try:
        nginx.get("/health")
        yield nginx
    finally:
        nginx.stop()


def _started(program: str, folder: Path, listeners: list[socket.socket]) -> subprocess.Popen[bytes]:
    numbers = [listener.fileno() for listener in listeners]
    return subprocess.Popen(
        [program, "-c", folder / CONFIGURED, "-e", folder / "error.log", "-g", "daemon off;"],
        # As at an upgrade of nginx, which hands its sockets on; so no other program can take the port meanwhile.
        env={**os.environ, "NGINX": "".join(f"{number};" for number in numbers)},
        pass_fds=numbers,
        stdin=subprocess.DEVNULL,
    )


def _listeners(stack: ExitStack, wanted: int = 0) -> list[socket.socket]:
    """One port, that one or any free one, on 127.0.0.1 and, where there is IPv6, on ::1."""
    while True:
        listeners = [socket.create_server(("127.0.0.1", wanted), backlog=4096)]
        try:
            if HAS_IPV6:
                port = listeners[0].getsockname()[1]
                listeners.append(socket.create_server(("::1", port), family=socket.AF_INET6, backlog=4096))
        except OSError:  # another program has it there
            listeners[0].close()
            if wanted:
                raise
            continue
        for listener in listeners:
            listener.setblocking(False)  # nginx takes them for some of its own
            stack.enter_context(listener)
        return listeners


def shipped(folder: Path, port: int) -> str:
    """deploy/nginx.conf with all its places inside the folder."""
    return moved(
        CONFIGURATION,
        {
            "listen 80 ": f"listen 127.0.0.1:{port} ",
            "listen [::]:80 ": f"listen [::1]:{port} " if HAS_IPV6 else "# ",
            "/run/nginx.pid": f"{folder}/nginx.pid",
            "/run/ltp-service/": f"{folder}/",
            "/var/cache/nginx/": f"{folder}/",
            "/var/log/nginx/": f"{folder}/",
        },
    )


def moved(file: Path, places: Mapping[str, str]) -> str:
    """A configuration with others in the place of those that it names; each must be in it."""
    configuration = file.read_text()
    for place, ours in places.items():
        assert place in configuration, f"deploy/{file.name} has no {place!r}"
        configuration = configuration.replace(place, ours)
    return configuration
