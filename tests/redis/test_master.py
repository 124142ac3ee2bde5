"""ltp_service.redis.master: a real Sentinel, and a master that it has replaced and that answers all the same."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from ltp_service.redis.client import RedisClient, open_redis
from ltp_service.redis.master import MasterWatch
from ltp_service.settings.config import Config
from tests.deadline import DEADLINE
from tests.fakes import FakeClock, ScriptedStop, eventually
from tests.process.sentinels import MASTER, running_sentinel, told
from tests.redis_server import RedisServer, free_port


class Named:
    """A client that finds its Redis through a Sentinel."""

    def __init__(self, sentinel: int) -> None:
        self._sentinel = sentinel
        config = Config(redis_sentinels=(f"127.0.0.1:{sentinel}",), redis_master=MASTER)
        self.client: RedisClient = open_redis(config, FakeClock().monotonic)

    def is_named(self) -> bool:
        return str(told(self._sentinel, "sentinel").get("master0", {}).get("status")) == "ok"

    def forget(self) -> None:
        """The Sentinel names no master from now on."""
        self._order("REMOVE", MASTER)

    def replace_by(self, server: RedisServer) -> None:
        """The Sentinel names this one as the master from now on."""
        self.forget()
        self._order("MONITOR", MASTER, "127.0.0.1", server.port, 1)
        eventually(self.is_named)

    def _order(self, *words: str | int) -> None:
        with redis.Redis(port=self._sentinel, protocol=2, socket_timeout=DEADLINE) as sentinel:
            sentinel.execute_command("SENTINEL", *words)


@pytest.fixture
def named(server: RedisServer, tmp_path: Path) -> Iterator[Named]:
    port = free_port()
    with running_sentinel(tmp_path / "sentinel", port, ("127.0.0.1", server.port)):
        named = Named(port)
        eventually(named.is_named)
        yield named


def test_a_master_that_was_replaced_is_left_though_it_answers(
    server: RedisServer, named: Named, tmp_path: Path
) -> None:
    named.client.run("SET", "where", "old")
    with RedisServer.start(tmp_path) as other:
        named.replace_by(other)
        assert named.client.run("GET", "where") == b"old"  # the connection stands
        moved: list[str] = []
        watch(named.client, moved)
        assert moved == [other.address] == [named.client.place]
        assert named.client.run("GET", "where") is None


def test_a_master_is_kept_where_no_sentinel_names_another(named: Named) -> None:
    named.client.run("SET", "where", "here")
    named.forget()
    moved: list[str] = []
    watch(named.client, moved)
    assert not moved
    assert named.client.run("GET", "where") == b"here"


def watch(client: RedisClient, moved: list[str]) -> None:
    """One look."""
    stop = ScriptedStop(FakeClock())
    looks = iter((False, True))

    def end_after_one() -> None:
        if next(looks):
            stop.set()

    stop.meanwhile = end_after_one
    MasterWatch(client, moved.append).run(stop)
