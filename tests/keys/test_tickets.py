"""Tickets that two processes make and take, in a real file and in a real Redis."""

from pathlib import Path
from typing import NamedTuple

import pytest

from ltp_service.assembly.keys import open_keyring, open_tickets
from ltp_service.domain.errors import KeyInvalid, RateLimited
from ltp_service.keys import sqlite
from ltp_service.keys.keyring import Keyring
from ltp_service.keys.tickets import TICKET_LIFE_SECONDS, Tickets
from ltp_service.redis import keys as redis_keys
from ltp_service.redis.client import open_redis
from ltp_service.redis.keys import RedisTickets
from ltp_service.runtime.database import Database
from ltp_service.settings.config import Config
from tests.fakes import runtime
from tests.redis_server import RedisServer
from tests.steered_clock import SteeredClock

DAY = 86_400.0
UNKNOWN = "ltp_ticket_" + "x" * 43


class Process(NamedTuple):
    keyring: Keyring
    tickets: Tickets


def process(config: Config, clock: SteeredClock) -> Process:
    database = Database(config.database_path, runtime(clock))
    redis = open_redis(config, clock.monotonic) if config.cache_backend == "redis" else None
    keyring = open_keyring(config, runtime(clock), database, redis)
    return Process(keyring, open_tickets(keyring, runtime(clock), database, redis))


@pytest.fixture
def in_a_file(tmp_path: Path) -> Config:
    return Config(database_path=tmp_path / "keys.db")


@pytest.fixture(params=["file", "redis"])
def config(request: pytest.FixtureRequest, server: RedisServer, in_a_file: Config, tmp_path: Path) -> Config:
    if request.param == "file":
        return in_a_file
    return Config(cache_backend="redis", redis_addr=server.address, database_path=tmp_path / "none")


def is_taken(tickets: Tickets, text: str) -> bool:
    try:
        tickets.take(text)
    except KeyInvalid:
        return False
    return True


def test_a_ticket_is_taken_once_by_any_process(config: Config, clock: SteeredClock) -> None:
    here, elsewhere = process(config, clock), process(config, clock)
    _, key = here.keyring.create("page", "read", DAY)
    text, _ = here.tickets.make(key.hash)

    assert is_taken(elsewhere.tickets, text)
    assert not is_taken(elsewhere.tickets, text)
    assert not is_taken(here.tickets, text)
    assert not is_taken(here.tickets, UNKNOWN)


def test_a_ticket_ends_with_its_key(config: Config, clock: SteeredClock) -> None:
    here, elsewhere = process(config, clock), process(config, clock)
    _, key = here.keyring.create("page", "read", DAY)
    text, _ = here.tickets.make(key.hash)
    here.keyring.revoke(key.prefix)

    assert not is_taken(elsewhere.tickets, text)


def test_a_ticket_lives_for_30_seconds(in_a_file: Config, clock: SteeredClock) -> None:
    keyring, tickets = process(in_a_file, clock)
    _, key = keyring.create("page", "read", DAY)
    (young, expires), (old, _) = tickets.make(key.hash), tickets.make(key.hash)
    assert expires == clock.wall() + TICKET_LIFE_SECONDS

    clock.advance(TICKET_LIFE_SECONDS - 1)
    assert is_taken(tickets, young)
    clock.advance(1)
    assert not is_taken(tickets, old)


def test_redis_forgets_a_ticket_by_itself(server: RedisServer, clock: SteeredClock) -> None:
    RedisTickets(open_redis(Config(cache_backend="redis", redis_addr=server.address), clock.monotonic)).put(
        "a" * 64, "b" * 64, 0.0, TICKET_LIFE_SECONDS
    )

    for name in (f"ltp:ticket:{'a' * 64}", redis_keys.TICKETS_SET):
        assert 0 < int(server.run("PTTL", name)) <= TICKET_LIFE_SECONDS * 1000


def test_a_taken_ticket_makes_room_for_another(
    config: Config, clock: SteeredClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "MOST_TICKETS", 2)
    monkeypatch.setattr(redis_keys, "MOST_TICKETS", 2)
    here, elsewhere = process(config, clock), process(config, clock)
    _, key = here.keyring.create("page", "read", DAY)
    (text, _), _ = here.tickets.make(key.hash), elsewhere.tickets.make(key.hash)

    with pytest.raises(RateLimited):
        elsewhere.tickets.make(key.hash)
    assert is_taken(elsewhere.tickets, text)
    here.tickets.make(key.hash)


def test_an_expired_ticket_is_not_counted_in_redis(
    server: RedisServer, clock: SteeredClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_keys, "MOST_TICKETS", 1)
    tickets = RedisTickets(
        open_redis(Config(cache_backend="redis", redis_addr=server.address), clock.monotonic)
    )
    assert tickets.put("a" * 64, "k" * 64, 0.0, 30.0)
    assert not tickets.put("b" * 64, "k" * 64, 0.0, 30.0)

    server.run("ZADD", redis_keys.TICKETS_SET, "1", f"ltp:ticket:{'a' * 64}")  # long ago
    assert tickets.put("b" * 64, "k" * 64, 0.0, 30.0)


def test_there_is_room_again_when_tickets_have_expired(
    in_a_file: Config, clock: SteeredClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "MOST_TICKETS", 2)
    _, tickets = process(in_a_file, clock)
    key_hash = "a" * 64
    tickets.make(key_hash)
    tickets.make(key_hash)

    with pytest.raises(RateLimited):
        tickets.make(key_hash)
    clock.advance(TICKET_LIFE_SECONDS)
    tickets.make(key_hash)
