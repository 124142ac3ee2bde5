"""What every back end of the keyring promises. A new one joins with one line in BACK_ENDS."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ltp_service.keys.key import ApiKey, Permission
from ltp_service.keys.keyring import KeyBackEnd
from ltp_service.keys.sqlite import SqliteKeys
from ltp_service.redis.keys import RedisKeys
from ltp_service.runtime.database import Database
from tests.fakes import runtime
from tests.redis_server import RedisServer
from tests.steered_clock import SteeredClock

NOW = 1_000.0


Open = Callable[[], KeyBackEnd]


@contextmanager
def sqlite_keys(folder: Path) -> Generator[Open]:
    clock = SteeredClock()
    yield lambda: SqliteKeys(Database(folder / "ltp.sqlite3", runtime(clock)))


@contextmanager
def redis_keys(folder: Path) -> Generator[Open]:
    with RedisServer.start(folder) as server:
        yield lambda: RedisKeys(server.client())


BACK_ENDS: dict[str, Callable[[Path], AbstractContextManager[Open]]] = {
    "sqlite": sqlite_keys,
    "redis": redis_keys,
}


@pytest.fixture(params=BACK_ENDS)
def open_back_end(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Open]:
    with BACK_ENDS[request.param](tmp_path) as opens:
        yield opens


@pytest.fixture
def keys(open_back_end: Open) -> Generator[KeyBackEnd]:
    with closing(open_back_end()) as keys:
        yield keys


@pytest.fixture
def others(open_back_end: Open) -> Generator[KeyBackEnd]:
    """The same keys in another process."""
    with closing(open_back_end()) as others:
        yield others


def key(
    letter: str, permission: Permission = "admin", created: float = NOW, expires: float | None = None
) -> ApiKey:
    return ApiKey(letter * 8, letter * 64, f"key {letter}", permission, created, expires)


def test_at_first_there_are_no_keys(keys: KeyBackEnd) -> None:
    assert keys.load() == []


def test_what_is_inserted_is_read_back_whole_by_every_process(keys: KeyBackEnd, others: KeyBackEnd) -> None:
    kept = replace(key("a", "write", NOW + 0.125, NOW + 9.5), last_used=NOW + 1)
    assert keys.insert(kept, only_first=False)
    assert keys.load() == others.load() == [kept]
    assert others.load()[0].hash == kept.hash


def test_keys_come_oldest_first(keys: KeyBackEnd) -> None:
    for letter, created in {"b": 30.0, "c": 10.0, "a": 20.0}.items():
        keys.insert(key(letter, created=created), only_first=False)
    assert [found.prefix[0] for found in keys.load()] == ["c", "a", "b"]


def test_only_one_process_makes_the_first_key(keys: KeyBackEnd, others: KeyBackEnd) -> None:
    assert keys.insert(key("a"), only_first=True)
    assert not others.insert(key("b"), only_first=True)
    assert others.load() == [key("a")]


def test_a_revoked_key_counts_when_only_the_first_may_be_made(keys: KeyBackEnd) -> None:
    keys.insert(key("a"), only_first=False)
    keys.revoke(key("a").hash, NOW, leave_admin=False)
    assert not keys.insert(key("b"), only_first=True)


def test_a_revoked_key_keeps_the_moment_of_its_first_revocation(keys: KeyBackEnd, others: KeyBackEnd) -> None:
    keys.insert(key("a"), only_first=False)
    assert keys.revoke(key("a").hash, NOW + 5, leave_admin=False)
    assert keys.revoke(key("a").hash, NOW + 9, leave_admin=False)
    assert others.load() == [replace(key("a"), revoked=NOW + 5)]


def test_revoking_touches_one_key_only(keys: KeyBackEnd) -> None:
    keys.insert(key("a"), only_first=False)
    keys.insert(key("b"), only_first=False)
    keys.revoke(key("a").hash, NOW, leave_admin=True)
    assert keys.load()[1] == key("b")


@pytest.mark.parametrize(
    ("rest", "may"),
    [
        ([], False),
        ([key("b", "write")], False),
        ([key("b", expires=NOW)], False),
        ([replace(key("b"), revoked=NOW - 1)], False),
        ([key("b", expires=NOW + 1)], True),
        ([key("b")], True),
    ],
    ids=["alone", "beside a writer", "expired", "revoked", "not yet expired", "for ever"],
)
def test_an_admin_key_is_left_if_asked_for(rest: list[ApiKey], may: bool, keys: KeyBackEnd) -> None:
    for one in (key("a"), *rest):
        keys.insert(one, only_first=False)
    assert keys.revoke(key("a").hash, NOW, leave_admin=True) is may
    assert (keys.load()[0].revoked is not None) is may


def test_two_processes_cannot_revoke_the_last_two_admin_keys(keys: KeyBackEnd, others: KeyBackEnd) -> None:
    keys.insert(key("a"), only_first=False)
    keys.insert(key("b"), only_first=False)
    assert keys.revoke(key("a").hash, NOW, leave_admin=True)
    assert not others.revoke(key("b").hash, NOW, leave_admin=True)


def test_last_use_moves_forward_only(keys: KeyBackEnd, others: KeyBackEnd) -> None:
    keys.insert(key("a"), only_first=False)
    keys.insert(key("b"), only_first=False)
    keys.touch({key("a").hash: NOW + 5})
    others.touch({key("a").hash: NOW + 3, key("b").hash: NOW})
    assert [found.last_used for found in keys.load()] == [NOW + 5, NOW]


def test_the_use_of_an_unknown_key_is_no_key(keys: KeyBackEnd) -> None:
    keys.insert(key("a"), only_first=False)
    keys.touch({"f" * 64: NOW})
    assert keys.load() == [key("a")]


@pytest.mark.parametrize("change", ["insert", "revoke"])
def test_the_version_changes_in_every_process(change: str, keys: KeyBackEnd, others: KeyBackEnd) -> None:
    keys.insert(key("a"), only_first=False)
    before = keys.version(), others.version()
    assert (keys.version(), others.version()) == before
    if change == "insert":
        keys.insert(key("b"), only_first=False)
    else:
        keys.revoke(key("a").hash, NOW, leave_admin=False)
    assert keys.version() != before[0]
    assert others.version() != before[1]
