"""The client on a real Redis that is frozen, killed, cut and locked."""

import time
from pathlib import Path

import pytest

from ltp_service.domain.errors import StoreUnavailable
from ltp_service.redis.client import (
    LEFT_ALONE_SECONDS,
    REDIS_TIMEOUT_SECONDS,
    ChannelSubscription,
    RedisClient,
    open_redis,
)
from ltp_service.settings.config import Config
from tests.conftest import ROOT
from tests.deadline import DEADLINE, generous
from tests.redis_server import RedisServer

WORD = "hunter2"


def seconds(client: RedisClient, match: str) -> float:
    """How long a refused command took."""
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable, match=match):
        client.run("PING")
    return time.monotonic() - begun


def consume(subscription: ChannelSubscription) -> None:
    while subscription.receive(1) is None:
        pass


def test_commands_scripts_and_the_servers_clock_are_answered(server: RedisServer) -> None:
    client = server.client()
    assert client.run("SET", "a", "1")
    assert client.script("return {redis.call('GET', KEYS[1]), ARGV[1]}")(["a"], [2.5]) == [b"1", b"2.5"]
    assert abs(client.time() - time.time()) < 5


def test_a_database_number_keeps_its_keys_to_itself(server: RedisServer) -> None:
    server.client(redis_db=3).run("SET", "a", "1")
    assert server.run("GET", "a") is None
    assert server.client(redis_db=3).run("GET", "a") == b"1"


def test_only_the_first_of_many_callers_waits_for_a_frozen_server(server: RedisServer) -> None:
    clock = [0.0]
    client = open_redis(Config(redis_addr=server.address), lambda: clock[0])
    client.run("PING")
    server.freeze()
    assert REDIS_TIMEOUT_SECONDS <= seconds(client, "does not answer") < generous(REDIS_TIMEOUT_SECONDS)
    clock[0] += LEFT_ALONE_SECONDS - 0.01
    seconds(client, "did not answer just now")  # says so without a question
    server.thaw()


def test_a_server_that_came_back_is_used_again(server: RedisServer) -> None:
    clock = [0.0]
    client = open_redis(Config(redis_addr=server.address), lambda: clock[0])
    server.kill()
    seconds(client, "does not answer.*REDIS_ADDR|REDIS_ADDR.*does not answer")
    server.restart()
    seconds(client, "just now")
    clock[0] += LEFT_ALONE_SECONDS
    assert client.run("PING")


def test_a_missing_password_is_named_as_the_cause(tmp_path: Path) -> None:
    with RedisServer.start(tmp_path, "--requirepass", WORD) as server:
        seconds(server.client(), "are REDIS_USERNAME and REDIS_PASSWORD right")
        seconds(server.client(redis_password=WORD[::-1]), "are REDIS_USERNAME and REDIS_PASSWORD right")
        assert server.client(redis_password=WORD).run("PING")


@pytest.mark.parametrize(
    ("trouble", "remedy"),
    [
        (("CONFIG", "SET", "maxmemory", "1"), "give it more maxmemory"),
        (("REPLICAOF", "127.0.0.1", "1"), "a replica instead of its master"),
        (("SET", "list", "of another program"), "Give this one a REDIS_DB of its own"),
        (("CONFIG", "SET", "min-replicas-to-write", "1"), "its own log may say more"),
    ],
)
def test_a_refusal_names_its_remedy(server: RedisServer, trouble: tuple[str, ...], remedy: str) -> None:
    server.run(*trouble)
    with pytest.raises(StoreUnavailable, match=remedy):
        server.client().script("return redis.call('LPUSH', KEYS[1], 'a')")(["list"], [])


def test_a_subscriber_gets_what_is_published_in_order(server: RedisServer) -> None:
    subscription = server.client().subscribe("a", "b")
    others = server.client()
    others.run("PUBLISH", "a", b"one")
    others.run("PUBLISH", "b", b"two")
    assert [subscription.receive(DEADLINE), subscription.receive(DEADLINE)] == [("a", b"one"), ("b", b"two")]
    subscription.ping()
    assert subscription.receive(DEADLINE) == "pong"
    assert subscription.receive(0) is None


def test_a_subscription_that_was_cut_says_so_even_when_the_server_is_back(server: RedisServer) -> None:
    subscription = server.client().subscribe("a")
    server.kill()
    server.restart()
    with pytest.raises(StoreUnavailable):
        consume(subscription)


def test_a_subscription_that_was_cut_keeps_nobody_from_a_server_that_answers(server: RedisServer) -> None:
    client = server.client()
    subscription = client.subscribe("a")
    client.run("CLIENT", "KILL", "TYPE", "pubsub")
    with pytest.raises(StoreUnavailable):
        consume(subscription)
    assert client.run("PING")


def test_a_frozen_server_takes_no_subscription(server: RedisServer) -> None:
    client = server.client()
    server.freeze()
    with pytest.raises(StoreUnavailable):
        client.subscribe("a")
    server.thaw()


RIGHTS = "ACL SETUSER ltp on >PASSWORD ~ltp:* &ltp:* +@all -@admin -@dangerous"
"""As docs/SCALING.md has them."""


def test_a_user_of_redis_acl_is_let_in_by_name_and_told_what_it_may_not_do(server: RedisServer) -> None:
    assert f"`{RIGHTS}`" in " ".join((ROOT / "docs" / "SCALING.md").read_text().split())
    server.run(*RIGHTS.replace("PASSWORD", WORD).split())
    client = server.client(redis_username="ltp", redis_password=WORD)

    assert client.run("SET", "ltp:a", "1")
    with pytest.raises(StoreUnavailable, match=r"let REDIS_USERNAME do that: docs/SCALING\.md"):
        client.run("SET", "another program's", "1")
    with pytest.raises(StoreUnavailable, match="are REDIS_USERNAME and REDIS_PASSWORD right"):
        server.client(redis_username="nobody", redis_password=WORD).run("PING")
