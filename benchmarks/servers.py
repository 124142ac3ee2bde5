"""Starts what is measured, each on a free port, and stops it by its process id."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.keep_alive import KeepAlive
from benchmarks.machine import children, on_cores
from tests.redis_server import RedisServer
from tests.simulator.client import PROJECT, Simulator

START_SECONDS = 20.0
STOP_SECONDS = 10.0
LOOK = 0.05
"""Seconds between looks at another process."""
PAIRS = 7
"""Those that the service serves without further configuration."""

_BARE = "benchmarks/bare_gunicorn.py"


@dataclass(frozen=True)
class Server:
    """A running gunicorn."""

    port: int
    workers: tuple[int, ...]
    """Process ids."""

    @property
    def worker(self) -> int:
        """The only one, or the first."""
        return self.workers[0]


@contextmanager
def simulated_exchange(bench: Bench, *arguments: str) -> Iterator[Simulator]:
    """A simulator on the driving cores, on which nothing moves by itself."""
    with on_cores(bench.cores.driving), Simulator.start(*arguments) as simulator:
        yield simulator


@contextmanager
def shared_redis(bench: Bench) -> Iterator[RedisServer]:
    """A Redis on the driving cores, empty."""
    with on_cores(bench.cores.driving), RedisServer.start(bench.scratch) as redis:
        yield redis


def service_environment(bench: Bench, simulator: Simulator, protocol: str = "v2") -> dict[str, str]:
    """Everything on; the rate limit has a bound that no load reaches."""
    return {
        "KRAKEN_WEBSOCKET_URL": simulator.v2_url if protocol == "v2" else simulator.v1_url,
        "KRAKEN_REST_URL": simulator.rest_url,
        "RATE_LIMIT_ENABLED": "true",
        "RATE_LIMIT_CAPACITY": "1000000",
        "RATE_LIMIT_REFILL_RATE": "1000000",
        "COLLECTORS": "",
        "DATABASE_PATH": str(bench.scratch / "ltp.sqlite3"),
        "HISTORY_URL": f"sqlite:{bench.scratch / 'history.sqlite3'}",
    }


@contextmanager
def service(
    bench: Bench,
    simulator: Simulator,
    protocol: str = "v2",
    *,
    application: str = "wsgi:app",
    also_at: Path | None = None,
    settings: Mapping[str, str] | None = None,
    checkout: Path = PROJECT,
) -> Iterator[Server]:
    """The service with all its pairs priced; `also_at` is a unix socket beside the port."""
    environment = service_environment(bench, simulator, protocol) | dict(settings or {})
    with gunicorn(
        bench, application, "gunicorn.conf.py", environment, also_at=also_at, checkout=checkout
    ) as server:
        await_prices(server.port)
        yield server


@contextmanager
def bare_server(
    bench: Bench, application: str, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Another application under the service's own gunicorn settings."""
    with gunicorn(bench, application, _BARE, environment or {}) as server:
        yield server


@contextmanager
def gunicorn(
    bench: Bench,
    application: str,
    settings: str,
    environment: Mapping[str, str],
    *,
    also_at: Path | None = None,
    checkout: Path = PROJECT,
) -> Iterator[Server]:
    """One worker, unless the environment says otherwise, on a free port; its output (the access log too) in a file."""
    with ExitStack() as listening:
        listeners = [listening.enter_context(socket.create_server(("127.0.0.1", 0)))]
        port: int = listeners[0].getsockname()[1]
        if also_at is not None:
            listeners.append(listening.enter_context(_unix_listener(also_at)))
        binds = [word for each in listeners for word in ("--bind", f"fd://{each.fileno()}")]
        command = [sys.executable, "-m", "gunicorn", "-c", settings, *binds, application]
        log = bench.scratch / f"{port}.log"
        with log.open("wb") as output, on_cores(bench.cores.measured):
            process = subprocess.Popen(
                command,
                cwd=checkout,
                env={**_neutral_environment(), **environment},
                pass_fds=[each.fileno() for each in listeners],
                stdout=output,
                stderr=subprocess.STDOUT,
            )
    try:
        _await_answer(process, port, log)
        yield Server(port, _await_workers(process.pid, int(environment.get("WEB_CONCURRENCY", "1"))))
    finally:
        stop(process)


def _await_workers(master: int, count: int) -> tuple[int, ...]:
    """The process ids of all workers; the first answer may come before the last one is there. Raises TimeoutError."""
    until(lambda: len(children(master)) == count, f"there were not {count} workers")
    return tuple(children(master))


def until(happened: Callable[[], bool], otherwise: str) -> None:
    """Looks again and again, because another process does not tell what it does. Raises TimeoutError."""
    deadline = time.monotonic() + START_SECONDS
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{otherwise} within {START_SECONDS:g} s")
        time.sleep(LOOK)  # leaves the processor to the process that starts


def _unix_listener(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    path.chmod(0o777)  # nginx's worker is another user where we are root
    listener.listen(1024)
    return listener


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends a process that was started here."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def await_prices(port: int) -> None:
    """Returns when every pair has a price. Raises TimeoutError."""

    def priced() -> bool:
        status, body = reader.get()
        return status == 200 and len(json.loads(body)["ltp"]) == PAIRS

    with KeepAlive(port, "/api/v1/ltp") as reader:
        until(priced, "not every pair had a price")


def _neutral_environment() -> dict[str, str]:
    """This process's environment without what would change the service's settings."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV")
    return {name: os.environ[name] for name in kept if name in os.environ}


def _await_answer(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Raises RuntimeError when it ended instead, TimeoutError when it is too slow."""

    def answers() -> bool:
        if process.poll() is not None:
            raise RuntimeError(
                f"{process.args!r} exited with {process.returncode}: {log.read_text()[-2000:]}"
            )
        try:
            with KeepAlive(port, "/health") as reader:
                reader.get()
        except OSError:
            return False
        return True

    until(answers, f"{process.args!r} did not answer")
