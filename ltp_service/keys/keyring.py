"""All API keys in memory, changed through a back end that all processes share."""

import logging
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from hmac import compare_digest
from threading import Lock
from typing import Protocol

from ltp_service.domain.errors import InvalidParameter, KeyInvalid, KeyMissing, NotFound, StoreUnavailable
from ltp_service.keys.key import (
    FROM_ENVIRONMENT,
    MARK,
    PERMISSIONS,
    ApiKey,
    Permission,
    hash_of,
    is_well_formed,
    make_text,
    prefix_of,
)
from ltp_service.runtime.clock import Clock
from ltp_service.runtime.database import Reload
from ltp_service.settings.types import is_admin_key

log = logging.getLogger(__name__)

LAST_USED_EVERY_SECONDS = 5.0
"""Seconds between two writes of the times at which keys were used."""

LONGEST_NAME = 64

_CHANGED_HERE = "changed here"
"""A version that no back end has, so that everything is read again even if the change was lost."""

LONGEST_LIFE_SECONDS = 3650 * 86_400.0


class KeyBackEnd(Protocol):
    """Stores keys by their hash. Every method may raise StoreUnavailable and has then changed nothing."""

    def version(self) -> Hashable:
        """A value that differs from the last one when the keys may have changed."""

    def load(self) -> list[ApiKey]:
        """Every key, also revoked and expired ones, oldest first."""

    def insert(self, key: ApiKey, *, only_first: bool) -> bool:
        """Stores a new key. With `only_first` it does nothing and returns False if there is a key already."""

    def revoke(self, key_hash: str, at: float, *, leave_admin: bool) -> bool:
        """Marks a key as revoked at the unix second `at`.

        With `leave_admin` it does nothing and returns False if no other admin key is active at `at`.
        """

    def touch(self, used: Mapping[str, float]) -> None:
        """Stores later times of last use, unix seconds by hash, in one quick attempt that may fail."""

    def close(self) -> None:
        """Closes the file or connection; the next use opens it again."""


class Keyring:
    """Checks keys from memory and changes them through the back end. `environment_key`: AUTH_API_KEY's text."""

    def __init__(
        self,
        back_end: KeyBackEnd,
        clock: Clock,
        environment_key: str | None,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._back_end = back_end
        self._clock = clock
        self._random_bytes = random_bytes
        self._environment = _environment_key(environment_key, clock.wall()) if environment_key else None
        self._index: Mapping[str, ApiKey] = {}
        self._had_keys = False
        """Stays True, so that after a back end lost its keys the next caller cannot make the first one."""
        self._version: Hashable | None = None
        # Held while the back end is read, so that an older reading never replaces a newer one. `check` needs no lock.
        self._lock = Lock()
        self._used: dict[str, float] = {}
        self._written: dict[str, float] = {}
        self._written_at = clock.monotonic()
        self._publish({})

    def check(self, text: str) -> ApiKey:
        """The key of this text. Raises KeyInvalid, with the same message for every cause.

        A known key is checked from memory. Another process may just have made an unknown one, so the back end is
        asked once. Raises StoreUnavailable when it does not answer.
        """
        key = None
        if is_well_formed(text):
            key = self._find(text) or self._find_made_elsewhere(text)
        elif self._environment is not None and is_admin_key(text):
            key = self._find(text)  # only AUTH_API_KEY may look otherwise
        now = self._clock.wall()
        if key is None or key.state(now) != "active":
            raise KeyInvalid("the API key is not valid; ask an administrator for a new one")
        self._used[key.hash] = now
        return key

    def knows_as_active(self, key_hash: str) -> bool:
        """Whether the key with this hash is valid now, as far as this process knows. Asks nothing."""
        key = self._index.get(key_hash)
        return key is not None and key.state(self._clock.wall()) == "active"

    def is_active(self, key_hash: str) -> bool:
        """Whether the key with this hash is valid now. Raises StoreUnavailable where it may have been made elsewhere."""
        if key_hash not in self._index:
            self.refresh()
        return self.knows_as_active(key_hash)

    def create(
        self, name: str, permission: str, ttl: float, *, only_first: bool = False
    ) -> tuple[str, ApiKey]:
        """A new key, valid for `ttl` seconds, and its text, which exists nowhere else.

        Raises InvalidParameter and StoreUnavailable; with `only_first` KeyMissing if a key was ever made, because the
        caller has none.
        """
        text = make_text(self._random_bytes)
        now = self._clock.wall()
        key = ApiKey(
            prefix=prefix_of(text),
            hash=hash_of(text),
            name=_checked_name(name),
            permission=_checked_permission(permission),
            created=now,
            expires=now + _checked_life(ttl),
        )
        if (only_first and self._had_keys) or not self._back_end.insert(key, only_first=only_first):
            raise KeyMissing("there already is an API key; use one that may administer keys")
        self._put(key)
        return text, key

    def list(self) -> list[ApiKey]:
        """Every key, oldest first, after AUTH_API_KEY without its hash. StoreUnavailable until keys were read."""
        if self._version is None:
            self.refresh()
        keys = [
            replace(key, last_used=self._used.get(key.hash, key.last_used)) for key in self._index.values()
        ]
        return [replace(key, hash="") if self._is_environment(key.hash) else key for key in keys]

    def revoke(self, prefix: str) -> ApiKey:
        """Revokes the key whose prefix begins with `prefix`, with `ltp_` or without.

        Raises NotFound for no such key, InvalidParameter for several or for the last admin key, StoreUnavailable.
        """
        self.refresh()
        key = self._the_one(prefix)
        now = self._clock.wall()
        leave_admin = key.permission == "admin" and key.state(now) == "active" and self._environment is None
        if not self._back_end.revoke(key.hash, now, leave_admin=leave_admin):
            raise InvalidParameter(
                f"{key.shown} is the last admin key; create another one before revoking it"
            )
        revoked = replace(key, revoked=now)
        self._put(revoked)
        return revoked

    def empty(self) -> bool:
        """True when it is certain that no key was ever made and that AUTH_API_KEY is not set.

        Keys that this process knew and that the back end lost still count.
        """
        return self._version is not None and not self._had_keys

    def known(self) -> bool:
        """Whether the keys were read once; until then `empty` is False."""
        return self._version is not None

    def refresh(self) -> None:
        """Reads the keys if they changed. Raises StoreUnavailable and keeps the known ones then."""
        with self._lock:
            version = self._back_end.version()
            if version != self._version:
                keys = {key.hash: key for key in self._back_end.load()}
                self._revoke_again(keys)
                self._publish(keys)
                self._version = version

    def write_last_used(self) -> None:
        """Writes the times of last use to the back end. After a failure they are written the next time."""
        self._written_at = self._clock.monotonic()
        used = {
            key_hash: at
            for key_hash, at in self._used.copy().items()
            if at != self._written.get(key_hash) and not self._is_environment(key_hash)
        }
        if not used:
            return
        try:
            self._back_end.touch(used)
            self._written |= used
        except StoreUnavailable as error:
            log.debug("when %d key(s) were last used is not written yet: %s", len(used), error)

    def follow(self) -> None:
        """Reads changes of other processes, and writes times of last use every LAST_USED_EVERY_SECONDS."""
        self.refresh()
        if self._clock.monotonic() - self._written_at >= LAST_USED_EVERY_SECONDS:
            self.write_last_used()

    def close(self) -> None:
        """Closes the back end. Checks go on; the next change opens it again."""
        self._back_end.close()

    def _find(self, text: str) -> ApiKey | None:
        wanted = hash_of(text)
        key = self._index.get(wanted)
        return key if key and compare_digest(key.hash, wanted) else None

    def _find_made_elsewhere(self, text: str) -> ApiKey | None:
        try:
            self.refresh()
        except StoreUnavailable as error:
            raise StoreUnavailable(
                f"an API key that is not known here cannot be checked now: {error}"
            ) from error
        return self._find(text)

    def _put(self, key: ApiKey) -> None:
        with self._lock:
            self._publish({**self._index, key.hash: key})
            if self._version is not None:
                self._version = _CHANGED_HERE

    def _revoke_again(self, keys: dict[str, ApiKey]) -> None:
        """Repeats revocations that the back end lost: a Redis restored from disk, or its replica."""
        for known in self._index.values():
            loaded = keys.get(known.hash)
            if loaded is not None and loaded.revoked is None and known.revoked is not None:
                log.warning("the revocation of %s%s was lost, and is made again", MARK, known.prefix)
                self._back_end.revoke(known.hash, known.revoked, leave_admin=False)
                keys[known.hash] = known

    def _publish(self, keys: Mapping[str, ApiKey]) -> None:
        own = {self._environment.hash: self._environment} if self._environment else {}
        self._index = {**own, **keys, **own}
        self._had_keys = self._had_keys or bool(self._index)

    def _is_environment(self, key_hash: str) -> bool:
        return self._environment is not None and key_hash == self._environment.hash

    def _the_one(self, prefix: str) -> ApiKey:
        start = prefix.removeprefix(MARK)
        found = [
            key
            for key in self._index.values()
            if start and (key.prefix.startswith(start) or key.shown == prefix)
        ]
        left = [key for key in found if key.revoked is None]
        if len(left) > 1:
            raise InvalidParameter(
                f"{len(left)} keys begin with {prefix!r}; give all 8 characters of the prefix"
            )
        if not found:
            raise NotFound(f"no key begins with {prefix!r}; the list of keys shows how each begins")
        if not left:
            raise InvalidParameter("that key is revoked already")
        if self._is_environment(left[0].hash):
            raise InvalidParameter("that key comes from AUTH_API_KEY; take it out there and restart")
        return left[0]


class KeyReload(Reload):
    """Runner: brings every process to the same keys within 2 s, and writes when keys were used."""

    def __init__(self, keyring: Keyring) -> None:
        super().__init__("keys", keyring.follow, keyring.write_last_used)


def _environment_key(text: str, now: float) -> ApiKey:
    prefix = prefix_of(text) if is_well_formed(text) else ""
    return ApiKey(prefix, hash_of(text), FROM_ENVIRONMENT, "admin", created=now, expires=None)


def _checked_name(name: str) -> str:
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable() or name != name.strip():
        raise InvalidParameter(f"a key's name must be 1 to {LONGEST_NAME} printable characters")
    return name


def _checked_permission(text: str) -> Permission:
    for permission in PERMISSIONS:
        if text == permission:
            return permission
    raise InvalidParameter(f"a key's permission must be one of {', '.join(PERMISSIONS)}")


def _checked_life(ttl: float) -> float:
    if not 0 < ttl <= LONGEST_LIFE_SECONDS:
        raise InvalidParameter("a key's life must be more than 0 s and at most 3650 days")
    return ttl
