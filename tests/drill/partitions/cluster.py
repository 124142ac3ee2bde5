"""A whole fleet on hosts of its own: exchange, Redis with a replica, three Sentinels, workers, nginx, PostgreSQL."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Self

from tests.deadline import DEADLINE
from tests.drill.partitions.hosts import Host, Wire
from tests.drill.partitions.machine import Exchange, Machine
from tests.drill.run import FAKETIME
from tests.postgres_server import PostgresServer
from tests.process.fleet import WORKERS, membership, until
from tests.process.nginx import Nginx, own_folder, reachable, running_nginx, shipped
from tests.process.nginx_front import in_front
from tests.process.sentinels import MASTER, is_replica, knows_all, running_sentinel, told
from tests.process.service import Service
from tests.programs import require_program
from tests.redis_server import RedisServer

EXCHANGE, DATABASE, FRONT = "exchange", "database", "front"
REDISES = ("redis-1", "redis-2")
SENTINELS = ("sentinel-1", "sentinel-2", "sentinel-3")
MACHINES = ("machine-1", "machine-2")
"""Those with workers."""
HOSTS = (EXCHANGE, DATABASE, FRONT, *REDISES, *SENTINELS, *MACHINES)

PROGRAMS = ("redis-server", "nginx", "initdb", "postgres", "faketime")
"""That have to be installed."""

WALK = 40
"""Trades and other events per second of the exchange, over all pairs."""

_REDIS, _SENTINEL, _HTTP = 6379, 26379, 8080


class Cluster:
    """Use `with Cluster.start() as cluster:`; everything runs and every worker is in step then."""

    def __init__(self, wire: Wire, stack: ExitStack, folder: Path, settings: Mapping[str, str]) -> None:
        self.wire = wire
        self._stack = stack
        self._folder = folder
        self.exchange = self._start_exchange()
        self.redises = {name: self._start_redis(name) for name in REDISES}
        self._start_sentinels()
        self.postgres = self._start_postgres()
        self._settings = {**settings, **self._addresses()}
        self.machines = {name: self._start_machine(name) for name in MACHINES}
        self.nginx = self._start_nginx()

    @classmethod
    @contextmanager
    def start(cls, **settings: str) -> Iterator[Self]:
        """Raises TimeoutError, ServiceError or SimulatorError for what did not begin."""
        with (
            Wire.between(*HOSTS) as wire,
            ExitStack() as stack,
            tempfile.TemporaryDirectory(prefix="ltp-hosts-") as folder,
        ):
            Path(folder).chmod(0o755)  # PostgreSQL is another user
            cluster = cls(wire, stack, Path(folder), settings)
            cluster.until_led()
            yield cluster
            stack.close()

    # Where things are.

    def address(self, host: str) -> str:
        return self.wire[host].address

    def owner(self) -> tuple[str, int]:
        """The machine that feeds the fleet, and the number of its tenure. Raises FleetError when none does."""
        found: list[tuple[str, int]] = []

        def known() -> bool:
            for name, machine in self.machines.items():
                place = machine.status()["fleet"]
                if place["role"] == "owner":
                    found.append((name, int(place["epoch"])))
            return bool(found)

        until(known, DEADLINE, "an owner")
        return found[-1]

    def master(self) -> str:
        """The host of the Redis that the Sentinels take for the master."""
        with self.wire[SENTINELS[0]].entered():
            at: str = told(_SENTINEL, "sentinel")["master0"]["address"].partition(":")[0]
        return next(name for name in REDISES if self.address(name) == at)

    def until_led(self, within: float = DEADLINE) -> float:
        """Seconds until every worker is in step with one owner."""

        def led() -> bool:
            # Each new connection may meet another worker of the machine.
            places = [each.status()["fleet"] for each in self.machines.values() for _ in range(2 * WORKERS)]
            agreed = len({(place["owner"], place["epoch"]) for place in places}) == 1
            return agreed and all(place["in_step"] for place in places)

        return until(led, within, "one owner, and all processes in step with it")

    def until_whole(self) -> None:
        """Returns when every worker is in step, one Redis copies the other, and the Sentinels agree on the master."""
        until(self._is_whole, DEADLINE, "a replica, and Sentinels that agree on the master")
        self.until_led()

    def _is_whole(self) -> bool:
        masters = set()
        for name in SENTINELS:
            with self.wire[name].entered():
                known = told(_SENTINEL, "sentinel").get("master0", {})
            masters.add((known.get("address"), known.get("status")))
        at, status = masters.pop()
        replicas = [name for name in REDISES if f"{self.address(name)}:{_REDIS}" != at]
        if masters or status != "ok" or len(replicas) != 1:
            return False
        with self.wire[replicas[0]].entered():
            return is_replica(_REDIS)

    def shift_redis_clock(self, name: str, seconds: float) -> None:
        """From now on the wall clock of that Redis is so far ahead; negative: behind."""
        (self._folder / name / "clock").write_text(f"{seconds:+g}")

    def until_served(self, pair: str, amount: str, *names: str, within: float = DEADLINE) -> float:
        """Seconds until each of those machines served that amount several times in a row."""

        def served() -> bool:
            return all(
                self.machines[name].amount(pair) == amount for name in names for _ in range(2 * WORKERS)
            )

        return until(served, within, f"{pair} at {amount} on {', '.join(names)}")

    # Starting.

    def _start_exchange(self) -> Exchange:
        host = self.wire[EXCHANGE]
        with host.entered():
            exchange = self._stack.enter_context(
                Exchange.start("--host", "0.0.0.0", "--walk", str(WALK), "--heartbeat", "1")  # noqa: S104 - its own network
            )
        exchange.host = host
        return exchange

    def _start_redis(self, name: str) -> RedisServer:
        host = self.wire[name]
        folder = self._folder / name
        folder.mkdir()
        (folder / "clock").write_text("+0")
        options = ["--bind", "127.0.0.1", host.address, "--protected-mode", "no"]
        if name != REDISES[0]:
            options += ["--replicaof", self.address(REDISES[0]), str(_REDIS)]
        options += ["--repl-diskless-sync-delay", "0", "--repl-timeout", "5"]
        with host.entered(), _preloaded(_moved_clock(folder / "clock")):
            redis = self._stack.enter_context(RedisServer.start(folder, *options, port=_REDIS))
            if name != REDISES[0]:
                until(lambda: is_replica(_REDIS), DEADLINE, "a replica")
        return redis

    def _start_sentinels(self) -> None:
        master = (self.address(REDISES[0]), _REDIS)
        for name in SENTINELS:
            host = self.wire[name]
            with host.entered():
                self._stack.enter_context(
                    running_sentinel(self._folder / name, _SENTINEL, master, f"127.0.0.1 {host.address}")
                )
        for name in SENTINELS:
            with self.wire[name].entered():
                until(lambda: knows_all(_SENTINEL), DEADLINE, "three Sentinels that know each other")

    def _start_postgres(self) -> PostgresServer:
        admitted = self._folder / "pg_hba.conf"
        admitted.write_text("host all all 0.0.0.0/0 scram-sha-256\n")
        with self.wire[DATABASE].entered():
            return self._stack.enter_context(
                PostgresServer.start(listen_addresses="*", hba_file=str(admitted))
            )

    def _start_machine(self, name: str) -> Machine:
        host = self.wire[name]
        folder = self._folder / name
        folder.mkdir()
        clock = folder / "clock"
        clock.write_text("+0")
        settings = {
            **self._settings,
            **_moved_clock(clock),
            "DATABASE_PATH": str(folder / "ltp.sqlite3"),
        }
        with host.entered():
            front = self._stack.enter_context(own_folder())
            service = self._stack.enter_context(
                Service.start(None, fed=False, **(settings | reachable(front)))
            )
            with _preloaded(_moved_clock(clock)):  # its promise needs the clock of the workers
                self._stack.enter_context(
                    running_nginx(require_program("nginx"), front, partial(self._behind_front, host))
                )
        return Machine(host, service, clock)

    def _behind_front(self, host: Host, folder: Path, port: int) -> str:
        """deploy/nginx.conf for the host's other address, too, and with what deploy/nginx-front.conf asks for."""
        configuration = shipped(folder, port)
        listen, header = f"listen 127.0.0.1:{port} ", "server_name _;"
        trusting = f"set_real_ip_from {self.address(FRONT)};\n        real_ip_header X-Forwarded-For;"
        for place, ours in (
            (listen, f"listen {host.address}:{_HTTP};\n        {listen}"),
            (header, f"{header}\n        {trusting}"),
        ):
            assert place in configuration
            configuration = configuration.replace(place, ours)
        return configuration

    def _addresses(self) -> dict[str, str]:
        exchange = f"{self.address(EXCHANGE)}:{self.exchange.port}"
        with self.wire[DATABASE].entered():
            history = self.postgres.new_database()
        return membership(
            {
                "KRAKEN_WEBSOCKET_URL": f"ws://{exchange}/v2",
                "KRAKEN_REST_URL": f"http://{exchange}/0/public",
                "REDIS_SENTINELS": ",".join(f"{self.address(name)}:{_SENTINEL}" for name in SENTINELS),
                "REDIS_MASTER": MASTER,
                "HISTORY_URL": history.replace("127.0.0.1", self.address(DATABASE)),
            }
        )

    def _start_nginx(self) -> Nginx:
        machines = {f"{name}:{_HTTP}": f"{self.address(name)}:{_HTTP}" for name in MACHINES}
        with self.wire[FRONT].entered():
            folder = self._stack.enter_context(own_folder())
            return self._stack.enter_context(
                running_nginx(require_program("nginx"), folder, partial(in_front, machines))
            )


def _moved_clock(file: Path) -> dict[str, str]:
    return {
        # Redis' own allocator asks for the time before libfaketime can tell it; that of the C library does not.
        "LD_PRELOAD": f"{FAKETIME}:libc.so.6",
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


@contextmanager
def _preloaded(settings: Mapping[str, str]) -> Iterator[None]:
    """Programs that are started meanwhile have these in their environment."""
    os.environ.update(settings)
    try:
        yield
    finally:
        for name in settings:
            del os.environ[name]
