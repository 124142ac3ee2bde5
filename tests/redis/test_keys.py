"""Keys in a real Redis that is frozen, emptied and filled with something else."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ltp_service.assembly.keys import open_keyring
from ltp_service.domain.errors import KeyInvalid, KeyMissing, StoreUnavailable
from ltp_service.keys.key import ApiKey
from ltp_service.keys.keyring import Keyring
from ltp_service.redis.client import LEFT_ALONE_SECONDS
from ltp_service.redis.keys import KEYS_HASH, RedisKeys
from ltp_service.settings.config import Config
from tests.fakes import runtime
from tests.redis_server import RedisServer
from tests.steered_clock import SteeredClock

DAY = 86_400.0
KEY = ApiKey("a" * 8, "a" * 64, "ops", "admin", 1.0, None)


@pytest.fixture
def config(server: RedisServer, tmp_path: Path) -> Config:
    return Config(cache_backend="redis", redis_addr=server.address, database_path=tmp_path / "none")


def made_first(keyring: Keyring) -> bool:
    try:
        keyring.create("first", "admin", DAY, only_first=True)
    except KeyMissing:
        return False
    return True


def test_the_settings_choose_redis_and_no_file_is_made(config: Config, clock: SteeredClock) -> None:
    here, elsewhere = open_keyring(config, runtime(clock)), open_keyring(config, runtime(clock))
    text, key = here.create("ops", "admin", DAY)
    assert elsewhere.check(text) == key
    assert not config.database_path.exists()


def test_an_empty_redis_is_known_as_such(server: RedisServer, config: Config, clock: SteeredClock) -> None:
    assert open_keyring(config, runtime(clock)).empty()
    server.kill()
    assert not open_keyring(config, runtime(clock)).empty()


def test_of_many_processes_at_once_one_makes_the_first_key(config: Config, clock: SteeredClock) -> None:
    keyrings = [open_keyring(config, runtime(clock)) for _ in range(6)]
    with ThreadPoolExecutor(len(keyrings)) as threads:
        assert sum(threads.map(made_first, keyrings)) == 1


def test_of_many_processes_at_once_none_revokes_the_last_admin_key(server: RedisServer) -> None:
    letters = "abcdef"
    for letter in letters:
        key = ApiKey(letter * 8, letter * 64, "ops", "admin", 1.0, None)
        RedisKeys(server.client()).insert(key, only_first=False)
    with ThreadPoolExecutor(len(letters)) as threads:
        revoked = threads.map(
            lambda letter: RedisKeys(server.client()).revoke(letter * 64, 2.0, leave_admin=True), letters
        )
    assert sum(revoked) == len(letters) - 1


def test_when_keys_were_used_is_told_to_all(config: Config, clock: SteeredClock) -> None:
    here, elsewhere = open_keyring(config, runtime(clock)), open_keyring(config, runtime(clock))
    text, _ = here.create("ops", "admin", DAY)
    here.check(text)
    here.write_last_used()
    elsewhere.refresh()
    assert [key.last_used for key in elsewhere.list()] == [clock.wall()]


def test_a_frozen_redis_refuses_changes(server: RedisServer, config: Config, clock: SteeredClock) -> None:
    keyring = open_keyring(config, runtime(clock))
    text, key = keyring.create("ops", "admin", DAY)
    server.freeze()
    with pytest.raises(StoreUnavailable):
        keyring.refresh()
    with pytest.raises(StoreUnavailable):
        keyring.create("more", "read", DAY)
    assert keyring.check(text) == key
    server.thaw()
    clock.advance(LEFT_ALONE_SECONDS)
    keyring.refresh()
    assert [found.name for found in keyring.list()] == ["ops"]


def test_keys_lost_by_redis_are_not_good(server: RedisServer, config: Config, clock: SteeredClock) -> None:
    keyring = open_keyring(config, runtime(clock))
    text, _ = keyring.create("ops", "admin", DAY)
    keyring.refresh()
    server.run("FLUSHALL")
    keyring.refresh()
    with pytest.raises(KeyInvalid):
        keyring.check(text)
    assert not keyring.empty()


def test_a_lost_revocation_is_made_again(server: RedisServer, config: Config, clock: SteeredClock) -> None:
    keyring = open_keyring(config, runtime(clock))
    text, key = keyring.create("ops", "read", DAY)
    server.run("SAVE")
    keyring.revoke(key.prefix)
    server.kill()
    server.restart()
    assert open_keyring(config, runtime(clock)).check(text) == key
    clock.advance(LEFT_ALONE_SECONDS)
    keyring.refresh()
    for each in (keyring, open_keyring(config, runtime(clock))):
        with pytest.raises(KeyInvalid):
            each.check(text)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("a" * 64, b"\xff"),
        ("a" * 64, b"{"),
        ("a" * 64, b'{"prefix":"aaaaaaaa"}'),
        ("a" * 64, b'"\xff\xfe"'),
        ("b" * 64, b'{"prefix":"a","hash":"a","name":"n","permission":"read","created":1,"expires":null}'),
        ("b" * 64, b'{"prefix":"b","hash":"b","name":"n","permission":"root","created":1,"expires":null}'),
        (b"\xff", b"{}"),
    ],
)
def test_what_is_no_key_is_named_and_left_alone(field: str | bytes, text: bytes, server: RedisServer) -> None:
    client = server.client()
    keys = RedisKeys(client)
    client.run("HSET", KEYS_HASH, field, text)
    for use in (keys.load, lambda: keys.revoke(KEY.hash, 2.0, leave_admin=True)):
        with pytest.raises(StoreUnavailable, match=r"of ltp:keys in Redis is no API key .*delete that field"):
            use()
    assert client.run("HLEN", KEYS_HASH) == 1
