"""Checking keys from memory, and the rules for making, listing and revoking them."""

import logging
import secrets
import time
from collections.abc import Callable, Generator, Hashable, Mapping
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from threading import Event

import pytest
from pydantic import SecretStr

from ltp_service.assembly.keys import open_keyring
from ltp_service.domain.errors import InvalidParameter, KeyInvalid, KeyMissing, NotFound, StoreUnavailable
from ltp_service.keys.key import ApiKey, hash_of
from ltp_service.keys.keyring import (
    LAST_USED_EVERY_SECONDS,
    LONGEST_LIFE_SECONDS,
    LONGEST_NAME,
    KeyReload,
    Keyring,
)
from ltp_service.runtime.database import Database
from ltp_service.settings.config import Config
from tests.fakes import runtime
from tests.steered_clock import SteeredClock

DAY = 86_400.0
ENVIRONMENT_KEY = "ltp_" + "Env1ronm" + "e" * 35
CHOSEN_KEY = "correct-horse/battery+staple="
"""An AUTH_API_KEY that an operator made up."""


class MemoryKeys:
    """A back end that several keyrings share, counts how often it is used, and breaks on demand."""

    def __init__(self, clock: SteeredClock) -> None:
        self.clock = clock
        self.keys: dict[str, ApiKey] = {}
        self.changes = 0
        self.calls = 0
        self.touched: list[dict[str, float]] = []
        self.trouble: StoreUnavailable | None = None

    def unread(self, environment_key: str | None = None) -> Keyring:
        """A keyring that has read nothing yet."""
        return Keyring(self, self.clock, environment_key, secrets.token_bytes)

    def open(self, environment_key: str | None = None) -> Keyring:
        """One that has read all keys."""
        keyring = self.unread(environment_key)
        keyring.refresh()
        return keyring

    def version(self) -> Hashable:
        self._use()
        return self.changes

    def load(self) -> list[ApiKey]:
        self._use()
        return list(self.keys.values())

    def insert(self, key: ApiKey, *, only_first: bool) -> bool:
        self._use()
        if only_first and self.keys:
            return False
        return self._keep(key)

    def revoke(self, key_hash: str, at: float, *, leave_admin: bool) -> bool:
        self._use()
        others = [key for key in self.keys.values() if key.hash != key_hash and key.permission == "admin"]
        if leave_admin and not [key for key in others if key.state(at) == "active"]:
            return False
        return self._keep(replace(self.keys[key_hash], revoked=at))

    def touch(self, used: Mapping[str, float]) -> None:
        self._use()
        self.touched.append(dict(used))

    def close(self) -> None:
        self._use()

    def _keep(self, key: ApiKey) -> bool:
        self.keys[key.hash] = key
        self.changes += 1
        return True

    def _use(self) -> None:
        self.calls += 1
        if self.trouble:
            raise self.trouble


@pytest.fixture
def shared(clock: SteeredClock) -> MemoryKeys:
    return MemoryKeys(clock)


@pytest.fixture
def keyring(shared: MemoryKeys) -> Keyring:
    return shared.open()


@pytest.fixture
def elsewhere(shared: MemoryKeys) -> Keyring:
    """The keyring of another process."""
    return shared.open()


def assert_refused(keyring: Keyring, text: str) -> None:
    with pytest.raises(KeyInvalid):
        keyring.check(text)


def test_a_new_key_is_valid_at_once_and_says_what_it_is(keyring: Keyring, clock: SteeredClock) -> None:
    text, key = keyring.create("dashboard", "write", DAY)
    assert keyring.check(text) == key
    assert (key.name, key.permission, key.prefix) == ("dashboard", "write", text[4:12])
    assert (key.created, key.expires, key.hash) == (clock.wall(), clock.wall() + DAY, hash_of(text))


def test_every_wrong_key_is_refused_in_the_same_words(keyring: Keyring, clock: SteeredClock) -> None:
    expired, _ = keyring.create("expired", "read", 10.0)
    clock.advance(10.0)
    revoked, key = keyring.create("revoked", "read", DAY)
    keyring.revoke(key.prefix)
    words = set()
    for text in ("", "ltp_short", "ltp_" + "x" * 43, expired, revoked, "\udcff"):
        with pytest.raises(KeyInvalid) as refused:
            keyring.check(text)
        words.add(str(refused.value))
    assert words == {"the API key is not valid; ask an administrator for a new one"}


def test_a_key_expires_by_the_wall_clock(keyring: Keyring, clock: SteeredClock) -> None:
    text, _ = keyring.create("short", "read", 10.0)
    clock.set_wall(clock.wall() + 9.9)
    keyring.check(text)
    clock.set_wall(clock.wall() + 0.1)
    assert_refused(keyring, text)


def test_a_key_differs_from_a_valid_one_in_its_last_character_and_is_refused(keyring: Keyring) -> None:
    text, _ = keyring.create("ops", "admin", DAY)
    assert_refused(keyring, text[:-1] + ("A" if text[-1] != "A" else "B"))
    assert_refused(keyring, text.swapcase())


def test_guesses_read_no_keys(keyring: Keyring, shared: MemoryKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    text, _ = keyring.create("ops", "admin", DAY)
    keyring.refresh()
    monkeypatch.setattr(shared, "load", lambda: pytest.fail("the keys were read though none was made"))
    for number in range(10_000):
        guess = f"{text[:20]}{number:027d}"
        try:
            keyring.check(guess)
        except KeyInvalid:
            continue
        pytest.fail(f"accepted {guess}")


def test_a_known_key_and_nonsense_never_touch_the_back_end(keyring: Keyring, shared: MemoryKeys) -> None:
    text, _ = keyring.create("ops", "admin", DAY)
    calls = shared.calls
    keyring.check(text)
    assert_refused(keyring, "nonsense")
    assert shared.calls == calls


def test_a_check_costs_the_same_among_many_keys(clock: SteeredClock) -> None:
    def cheapest_check(size: int) -> float:
        shared = MemoryKeys(clock)
        keyring = shared.open()
        text, key = keyring.create("ops", "admin", DAY)
        shared.keys |= {str(number): replace(key, hash=str(number)) for number in range(size)}
        shared.changes += 1
        keyring.refresh()
        return min(_seconds(lambda: keyring.check(text)) for _ in range(300))

    assert cheapest_check(20_000) < 10 * cheapest_check(1)


def _seconds(call: Callable[[], object]) -> float:
    before = time.perf_counter()
    call()
    return time.perf_counter() - before


def test_another_process_knows_a_new_key_at_its_first_use(keyring: Keyring, elsewhere: Keyring) -> None:
    text, key = keyring.create("ops", "read", DAY)
    assert elsewhere.check(text) == key


def test_an_unknown_key_is_not_called_wrong(keyring: Keyring, elsewhere: Keyring, shared: MemoryKeys) -> None:
    text, _ = keyring.create("ops", "read", DAY)
    shared.trouble = StoreUnavailable("disk gone")
    with pytest.raises(StoreUnavailable, match="cannot be checked now: disk gone"):
        elsewhere.check(text)


def test_another_process_refuses_a_revoked_key_once_read(keyring: Keyring, elsewhere: Keyring) -> None:
    text, key = keyring.create("ops", "read", DAY)
    elsewhere.refresh()
    keyring.revoke(key.prefix)
    assert_refused(keyring, text)
    elsewhere.refresh()
    assert_refused(elsewhere, text)


def test_the_keys_are_read_only_when_they_changed(keyring: Keyring, shared: MemoryKeys) -> None:
    keyring.refresh()
    calls = shared.calls
    keyring.refresh()
    assert shared.calls == calls + 1


def test_a_back_end_in_trouble_leaves_the_known_keys_in_force(keyring: Keyring, shared: MemoryKeys) -> None:
    text, _ = keyring.create("ops", "admin", DAY)
    shared.trouble = StoreUnavailable("disk gone")
    shared.changes += 1
    with pytest.raises(StoreUnavailable):
        keyring.refresh()
    keyring.check(text)
    assert len(keyring.list()) == 1


def test_no_key_is_called_wrong_while_none_was_read(keyring: Keyring, shared: MemoryKeys) -> None:
    text, key = keyring.create("ops", "admin", DAY)
    begun = shared.unread(ENVIRONMENT_KEY)
    assert begun.check(ENVIRONMENT_KEY).permission == "admin"
    assert_refused(begun, "nonsense")
    shared.trouble = StoreUnavailable("disk gone")
    with pytest.raises(StoreUnavailable, match="disk gone"):
        begun.check(text)
    shared.trouble = None
    assert begun.check(text) == key


def test_a_key_that_could_not_be_kept_is_not_valid(keyring: Keyring, shared: MemoryKeys) -> None:
    shared.trouble = StoreUnavailable("disk full")
    with pytest.raises(StoreUnavailable, match="disk full"):
        keyring.create("ops", "admin", DAY)
    shared.trouble = None
    assert keyring.list() == []


def test_a_revocation_that_could_not_be_kept_is_an_error(keyring: Keyring, shared: MemoryKeys) -> None:
    text, key = keyring.create("ops", "read", DAY)
    shared.trouble = StoreUnavailable("disk full")
    with pytest.raises(StoreUnavailable, match="disk full"):
        keyring.revoke(key.prefix)
    keyring.check(text)


@pytest.mark.parametrize(
    "name", ["", " ", "a\nb", "a\x1b[31m", " padded", "x" * (LONGEST_NAME + 1), "\u2028"]
)
def test_a_name_that_would_spoil_a_list_is_refused(name: str, keyring: Keyring) -> None:
    with pytest.raises(InvalidParameter, match="name must be 1 to 64 printable characters"):
        keyring.create(name, "read", DAY)
    keyring.create("x" * LONGEST_NAME, "read", DAY)


@pytest.mark.parametrize("permission", ["", "root", "Admin", "read,write"])
def test_an_unknown_permission_is_refused(permission: str, keyring: Keyring) -> None:
    with pytest.raises(InvalidParameter, match="one of read, write, admin"):
        keyring.create("ops", permission, DAY)


@pytest.mark.parametrize("ttl", [0.0, -1.0, LONGEST_LIFE_SECONDS + 1, float("inf"), float("nan")])
def test_a_life_without_sense_is_refused(ttl: float, keyring: Keyring) -> None:
    with pytest.raises(InvalidParameter, match="at most 3650 days"):
        keyring.create("ops", "read", ttl)


def test_the_list_shows_every_key_oldest_first_with_its_state(keyring: Keyring, clock: SteeredClock) -> None:
    keyring.create("first", "admin", 5.0)
    clock.advance(5.0)
    _, second = keyring.create("second", "read", DAY)
    keyring.create("third", "write", DAY)
    keyring.revoke(second.prefix)
    states = [(key.name, key.state(clock.wall())) for key in keyring.list()]
    assert states == [("first", "expired"), ("second", "revoked"), ("third", "active")]


def test_the_list_is_an_error_while_the_keys_were_never_read(shared: MemoryKeys) -> None:
    shared.trouble = StoreUnavailable("disk gone")
    keyring = shared.unread()
    with pytest.raises(StoreUnavailable, match="disk gone"):
        keyring.list()


def test_a_key_made_before_any_was_read_hides_no_other(keyring: Keyring, shared: MemoryKeys) -> None:
    keyring.create("ops", "admin", DAY)
    unread = shared.unread()
    shared.clock.advance(1.0)
    unread.create("dashboard", "read", DAY)
    assert not unread.known()
    assert {key.name for key in unread.list()} == {"ops", "dashboard"}


@pytest.mark.parametrize("given", ["{0}", "ltp_{0}", "ltp_{0:.5}", "{0:.5}"])
def test_a_key_is_revoked_by_its_prefix_or_the_beginning_of_it(given: str, keyring: Keyring) -> None:
    keyring.create("spare", "admin", DAY)
    text, key = keyring.create("ops", "admin", DAY)
    assert keyring.revoke(given.format(key.prefix)).hash == key.hash
    assert_refused(keyring, text)


def test_a_prefix_that_matches_several_keys_is_refused(shared: MemoryKeys) -> None:
    order = count()
    keyring = Keyring(shared, shared.clock, None, lambda size: b"the same".ljust(size, bytes([next(order)])))
    text, key = keyring.create("one", "read", DAY)
    keyring.create("two", "read", DAY)
    with pytest.raises(InvalidParameter, match="2 keys begin with"):
        keyring.revoke(key.prefix)
    keyring.check(text)


def test_a_revoked_key_does_not_make_a_prefix_ambiguous(keyring: Keyring) -> None:
    keyring.create("spare", "admin", DAY)
    _, key = keyring.create("ops", "read", DAY)
    keyring.revoke(key.prefix)
    with pytest.raises(InvalidParameter, match="revoked already"):
        keyring.revoke(key.prefix)


@pytest.mark.parametrize("prefix", ["", "ltp_", "????????", "%"])
def test_a_prefix_that_matches_no_key_is_refused(prefix: str, keyring: Keyring) -> None:
    keyring.create("ops", "read", DAY)
    with pytest.raises(NotFound, match="no key begins with"):
        keyring.revoke(prefix)


def test_a_key_just_made_by_another_process_can_be_revoked(keyring: Keyring, elsewhere: Keyring) -> None:
    text, key = keyring.create("ops", "read", DAY)
    elsewhere.revoke(key.prefix)
    assert_refused(elsewhere, text)


def test_the_last_admin_key_cannot_be_revoked(keyring: Keyring, clock: SteeredClock) -> None:
    keyring.create("expired admin", "admin", 1.0)
    clock.advance(1.0)
    keyring.create("writer", "write", DAY)
    text, key = keyring.create("ops", "admin", DAY)
    with pytest.raises(InvalidParameter, match="the last admin key; create another one"):
        keyring.revoke(key.prefix)
    keyring.check(text)


def test_an_expired_admin_key_can_be_revoked_as_the_last(keyring: Keyring, clock: SteeredClock) -> None:
    _, key = keyring.create("ops", "admin", 1.0)
    clock.advance(1.0)
    assert keyring.revoke(key.prefix).revoked == clock.wall()


def test_the_last_stored_admin_key_can_be_revoked_beside_auth_api_key(shared: MemoryKeys) -> None:
    keyring = shared.open(ENVIRONMENT_KEY)
    text, key = keyring.create("ops", "admin", DAY)
    keyring.revoke(key.prefix)
    assert_refused(keyring, text)


@pytest.mark.parametrize("text", [ENVIRONMENT_KEY, CHOSEN_KEY, "ltp_" + "k" * 20])
def test_auth_api_key_is_an_admin_key_that_needs_no_back_end(shared: MemoryKeys, text: str) -> None:
    shared.trouble = StoreUnavailable("disk gone")
    keyring = shared.unread(text)
    shared.clock.advance(100 * 365 * DAY)
    key = keyring.check(text)
    assert (key.permission, key.expires, key.name) == ("admin", None, "AUTH_API_KEY")


def test_auth_api_key_is_what_it_is_whatever_was_stored_of_the_same_text(shared: MemoryKeys) -> None:
    text = ENVIRONMENT_KEY
    stored = ApiKey(text[4:12], hash_of(text), "old", "read", shared.clock.wall(), None)
    shared.insert(replace(stored, revoked=shared.clock.wall()), only_first=False)
    keyring = shared.open(text)
    assert keyring.check(text).permission == "admin"


def test_auth_api_key_is_listed_without_its_hash_and_never_stored(shared: MemoryKeys) -> None:
    keyring = shared.open(ENVIRONMENT_KEY)
    keyring.create("ops", "read", DAY)
    assert [(key.name, bool(key.hash)) for key in keyring.list()] == [("AUTH_API_KEY", False), ("ops", True)]
    assert [key.name for key in shared.keys.values()] == ["ops"]


def test_auth_api_key_cannot_be_revoked_here(shared: MemoryKeys) -> None:
    keyring = shared.open(ENVIRONMENT_KEY)
    with pytest.raises(InvalidParameter, match="comes from AUTH_API_KEY; take it out there"):
        keyring.revoke("Env1ronm")
    keyring.check(ENVIRONMENT_KEY)


def test_of_a_key_that_an_operator_chose_nothing_is_shown(shared: MemoryKeys) -> None:
    keyring = shared.open(CHOSEN_KEY)
    [key] = keyring.list()
    assert (key.shown, key.prefix, key.hash) == ("AUTH_API_KEY", "", "")
    assert CHOSEN_KEY[:4] not in repr(key)
    with pytest.raises(InvalidParameter, match="comes from AUTH_API_KEY; take it out there"):
        keyring.revoke("AUTH_API_KEY")
    for beginning in (CHOSEN_KEY, CHOSEN_KEY[:8], "c", "ltp_"):
        with pytest.raises(NotFound):
            keyring.revoke(beginning)


def test_beside_a_key_that_an_operator_chose_others_are_checked_as_ever(shared: MemoryKeys) -> None:
    keyring = shared.open(CHOSEN_KEY)
    text, key = keyring.create("ops", "read", DAY)
    calls = shared.calls
    assert keyring.check(text) == key
    for wrong in (CHOSEN_KEY[:-1], CHOSEN_KEY + "x", CHOSEN_KEY.upper(), "x" * 24, "\udcff" * 30, "é" * 30):
        assert_refused(keyring, wrong)
    assert shared.calls == calls


def test_the_ring_is_empty_until_the_first_key_and_never_again(keyring: Keyring, clock: SteeredClock) -> None:
    assert keyring.empty()
    _, key = keyring.create("ops", "read", 1.0)
    assert not keyring.empty()
    keyring.revoke(key.prefix)
    clock.advance(1.0)
    assert not keyring.empty()


def test_the_ring_is_not_called_empty_with_auth_api_key_or_while_nobody_knows(shared: MemoryKeys) -> None:
    assert not shared.open(ENVIRONMENT_KEY).empty()
    assert not shared.unread().empty()


def test_keys_that_were_lost_do_not_make_the_ring_empty(keyring: Keyring, shared: MemoryKeys) -> None:
    keyring.create("ops", "admin", DAY)
    shared.keys.clear()
    shared.changes += 1
    keyring.refresh()
    assert not keyring.empty()
    with pytest.raises(KeyMissing):
        keyring.create("intruder", "admin", DAY, only_first=True)
    assert shared.keys == {}


def test_only_one_process_makes_the_first_key(keyring: Keyring, elsewhere: Keyring) -> None:
    keyring.create("ops", "admin", DAY, only_first=True)
    assert elsewhere.empty()
    with pytest.raises(KeyMissing, match="there already is an API key"):
        elsewhere.create("intruder", "admin", DAY, only_first=True)


def test_no_first_key_is_made_beside_auth_api_key(shared: MemoryKeys) -> None:
    with pytest.raises(KeyMissing):
        shared.open(ENVIRONMENT_KEY).create("intruder", "admin", DAY, only_first=True)
    assert shared.keys == {}


def test_last_use_is_listed_at_once_and_written_behind(keyring: Keyring, shared: MemoryKeys) -> None:
    text, key = keyring.create("ops", "read", DAY)
    shared.clock.advance(3.0)
    keyring.check(text)
    keyring.follow()
    assert keyring.list()[0].last_used == shared.clock.wall()
    assert shared.touched == []
    used = shared.clock.wall()
    shared.clock.advance(LAST_USED_EVERY_SECONDS - 3.0)
    keyring.follow()
    assert shared.touched == [{key.hash: used}]
    shared.clock.advance(1.0)
    keyring.check(text)
    keyring.follow()
    assert len(shared.touched) == 1


def test_last_use_is_written_only_when_it_changed(keyring: Keyring, shared: MemoryKeys) -> None:
    first, _ = keyring.create("one", "read", DAY)
    second, key = keyring.create("two", "read", DAY)
    for used in ([first, second], [second], []):
        for text in used:
            keyring.check(text)
        keyring.write_last_used()
        shared.clock.advance(LAST_USED_EVERY_SECONDS)
    assert [len(written) for written in shared.touched] == [2, 1]
    assert list(shared.touched[1]) == [key.hash]


def test_a_last_use_that_was_not_written_is_written_next(keyring: Keyring, shared: MemoryKeys) -> None:
    text, key = keyring.create("ops", "read", DAY)
    keyring.check(text)
    used = shared.clock.wall()
    shared.trouble = StoreUnavailable("locked")
    keyring.write_last_used()
    shared.trouble = None
    keyring.write_last_used()
    assert shared.touched == [{key.hash: used}]


def test_the_use_of_auth_api_key_is_listed_and_never_written(shared: MemoryKeys) -> None:
    keyring = shared.open(ENVIRONMENT_KEY)
    keyring.check(ENVIRONMENT_KEY)
    keyring.write_last_used()
    assert keyring.list()[0].last_used == shared.clock.wall()
    assert [used for used in shared.touched if used] == []


def test_a_failed_check_is_no_use_of_a_key(keyring: Keyring, clock: SteeredClock) -> None:
    text, _ = keyring.create("ops", "read", 1.0)
    clock.advance(1.0)
    assert_refused(keyring, text)
    assert keyring.list()[0].last_used is None


def test_a_reload_reads_keys_and_keeps_uses(keyring: Keyring, elsewhere: Keyring, shared: MemoryKeys) -> None:
    text, key = keyring.create("ops", "read", DAY)

    class Stop(Event):
        waits = 0

        def wait(self, timeout: float | None = None) -> bool:
            assert timeout is not None
            assert timeout < 2
            self.waits += 1
            return self.waits > 1

    KeyReload(elsewhere).run(Stop())
    elsewhere.check(text)
    assert shared.touched == []
    KeyReload(elsewhere).run(Stop())
    assert list(shared.touched[0]) == [key.hash]
    assert KeyReload(elsewhere).name == "keys"


@pytest.fixture
def database(tmp_path: Path, clock: SteeredClock) -> Generator[Database]:
    with closing(Database(tmp_path / "ltp.sqlite3", runtime(clock))) as database:
        yield database


def test_a_keyring_opens_with_the_keys_that_are_there(tmp_path: Path, clock: SteeredClock) -> None:
    config = Config(database_path=tmp_path / "ltp.sqlite3")
    with closing(open_keyring(config, runtime(clock))) as before:
        text, key = before.create("ops", "admin", DAY)
    with closing(open_keyring(config, runtime(clock))) as after:
        assert after.check(text) == key


def test_a_file_that_cannot_be_used_leaves_auth_api_key_in_force(
    tmp_path: Path, clock: SteeredClock, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    config = Config(database_path=tmp_path / "data" / "ltp.sqlite3", auth_api_key=SecretStr(ENVIRONMENT_KEY))
    keyring = open_keyring(config, runtime(clock))
    assert keyring.check(ENVIRONMENT_KEY).permission == "admin"
    (record,) = caplog.records
    assert (record.levelno, "Not a directory" in record.message) == (logging.WARNING, True)
    with pytest.raises(StoreUnavailable):
        keyring.create("ops", "admin", DAY)


def test_opening_a_keyring_makes_no_file(tmp_path: Path, clock: SteeredClock) -> None:
    assert open_keyring(Config(database_path=tmp_path / "data" / "ltp.sqlite3"), runtime(clock)).empty()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_refuses_new_keys_alone(database: Database, tmp_path: Path, clock: SteeredClock) -> None:
    config = Config(database_path=tmp_path / "ltp.sqlite3")
    keyring = open_keyring(config, runtime(clock), database)
    texts = [keyring.create(f"key {number}", "admin", DAY)[0] for number in range(5)]
    [(pages,)] = database.read("PRAGMA page_count")
    database.read(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreUnavailable, match=r"nothing was changed.*the disk is full"):
        texts.extend(keyring.create(f"more {number}", "read", DAY)[0] for number in range(1000))
    keyring.refresh()
    with closing(open_keyring(config, runtime(clock))) as elsewhere:
        for text in texts:
            assert keyring.check(text) == elsewhere.check(text)
        assert len(elsewhere.list()) == len(keyring.list()) == len(texts)
