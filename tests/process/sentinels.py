"""A Redis with a replica, and three Sentinels that put the one in the other's place."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ltp_service.domain.errors import StoreUnavailable
from ltp_service.redis.client import open_redis
from ltp_service.settings.config import Config
from tests.deadline import DEADLINE
from tests.process.fleet import until
from tests.programs import require_program
from tests.redis_server import RedisServer, free_port

MASTER = "prices"
DOWN_AFTER = 1.0
"""Seconds without an answer after which a Sentinel believes that a Redis is gone."""

_CONFIG = """
port {port}
bind {bind}
protected-mode no
dir {folder}
loglevel warning
sentinel monitor {name} {host} {master} 2
sentinel down-after-milliseconds {name} {milliseconds:.0f}
sentinel failover-timeout {name} 3000
"""


class Sentinels:
    """Use `with Sentinels.start(tmp_path) as sentinels:`."""

    def __init__(self, master: RedisServer, replica: RedisServer, ports: list[int]) -> None:
        self.master = master
        self.replica = replica
        self.addresses = ",".join(f"127.0.0.1:{port}" for port in ports)

    @classmethod
    @contextmanager
    def start(cls, folder: Path) -> Iterator["Sentinels"]:
        """All know one another when this returns."""
        with ExitStack() as stack:
            master = stack.enter_context(RedisServer.start(folder))
            replica = stack.enter_context(
                RedisServer.start(
                    folder, "--replicaof", "127.0.0.1", str(master.port), "--repl-diskless-sync-delay", "0"
                )
            )
            until(lambda: is_replica(replica.port), DEADLINE, "a replica")
            ports = [free_port() for _ in range(3)]
            for port in ports:
                stack.enter_context(running_sentinel(folder / str(port), port, ("127.0.0.1", master.port)))
            sentinels = cls(master, replica, ports)
            until(
                lambda: all(map(knows_all, ports)),
                DEADLINE,
                "three Sentinels that know each other and the replica",
            )
            yield sentinels

    def settings(self) -> dict[str, str]:
        """The service's."""
        return {"REDIS_SENTINELS": self.addresses, "REDIS_MASTER": MASTER}

    def fail_over(self) -> float:
        """Kills the master; seconds until the replica is in its place."""
        self.master.kill()
        return until(self._is_promoted, DEADLINE, "a new master")

    def _is_promoted(self) -> bool:
        return told(self.replica.port, "replication").get("role") == "master"


@contextmanager
def running_sentinel(
    folder: Path, port: int, master: tuple[str, int], bind: str = "127.0.0.1"
) -> Iterator[None]:
    """A Sentinel in that folder, which it makes, for the Redis at that host and port."""
    folder.mkdir()
    file = folder / "sentinel.conf"
    host, master_port = master
    file.write_text(
        _CONFIG.format(
            port=port,
            bind=bind,
            folder=folder,
            name=MASTER,
            host=host,
            master=master_port,
            milliseconds=1000 * DOWN_AFTER,
        )
    )
    process = subprocess.Popen(
        [require_program("redis-server"), str(file), "--sentinel"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.kill()
        process.wait(DEADLINE)


def knows_all(port: int) -> bool:
    """Whether the Sentinel at that port knows the replica and the two other Sentinels."""
    known = told(port, "sentinel").get("master0", {})
    return (known.get("slaves"), known.get("sentinels")) == (1, 3)


def is_replica(port: int) -> bool:
    """Whether the Redis at that port copies its master."""
    return told(port, "replication").get("master_link_status") == "up"


def told(port: int, section: str) -> dict[str, Any]:
    """What a server says about itself; nothing while it does not answer."""
    try:
        said: dict[str, Any] = open_redis(Config(redis_addr=f"127.0.0.1:{port}"), lambda: 0.0).run(
            "INFO", section
        )
    except StoreUnavailable:
        return {}
    return said
