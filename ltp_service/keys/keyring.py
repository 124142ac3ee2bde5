"""Who may come in: every key in memory, changed through a back end that all processes share."""

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

LAST_USED_EVERY = 5.0
"""Seconds between two writings of when keys were used."""

LONGEST_NAME = 64

_CHANGED_HERE = "changed here"
"""No back end's version: everything is read again, even where the change was lost at once."""

LONGEST_LIFE = 3650 * 86_400.0
"""Seconds."""


class KeyBackEnd(Protocol):
    """Where keys are kept, by their hash. Every method may raise StoreUnavailable and has then changed nothing."""

    def version(self) -> Hashable:
        """Another value than before when the keys may have changed."""

    def load(self) -> list[ApiKey]:
        """Every key, revoked and expired ones too, oldest first."""

    def insert(self, key: ApiKey, *, only_first: bool) -> bool:
        """Keeps a new key for good; False, and nothing done, if it may only be the first one and is not."""

    def revoke(self, key_hash: str, at: float, *, leave_admin: bool) -> bool:
        """Marks a key as revoked since the unix second `at`.

        False, and nothing done, if an admin key has to be left and no other one is active at `at`.
        """

    def touch(self, used: Mapping[str, float]) -> None:
        """Moves when the keys of these hashes were last used forward; one quick attempt, no promise."""

    def close(self) -> None:
        """Lets file or connection go; the next use opens it again."""


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
        """Once true, always true: a back end that lost its keys must not let the next caller make the first one."""
        self._version: Hashable | None = None
        # Held while the file is read, so that an older reading never replaces a newer one; `check` does without.
        self._lock = Lock()
        self._used: dict[str, float] = {}
        self._written: dict[str, float] = {}
        self._written_at = clock.monotonic()
        self._publish({})

    def check(self, text: str) -> ApiKey:
        """The key of this text. Raises KeyInvalid in the same words whatever is wrong.

        A known key is checked from memory. An unknown one may have been made by another process a moment ago, so
        the back end is asked once whether anything changed: StoreUnavailable when it cannot tell.
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

    def create(
        self, name: str, permission: str, ttl: float, *, only_first: bool = False
    ) -> tuple[str, ApiKey]:
        """A new key good for `ttl` seconds, and its text, which exists nowhere else.

        With `only_first` only if no key was ever made: KeyMissing otherwise, for whoever asked without one. Raises
        InvalidParameter, StoreUnavailable.
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
        """Every key, oldest first; AUTH_API_KEY leads, without its hash. StoreUnavailable if none was ever read."""
        if self._version is None:
            self.refresh()
        keys = [
            replace(key, last_used=self._used.get(key.hash, key.last_used)) for key in self._index.values()
        ]
        return [replace(key, hash="") if self._is_environment(key.hash) else key for key in keys]

    def revoke(self, prefix: str) -> ApiKey:
        """Revokes the one key whose prefix begins so, with `ltp_` or without.

        Raises NotFound if none does, InvalidParameter if several do or if it is the last admin key;
        StoreUnavailable.
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
        """True when it is certain that no key was ever made, of whatever state, and none comes from AUTH_API_KEY.

        Keys that this process knew and that the back end has lost since still count.
        """
        return self._version is not None and not self._had_keys

    def known(self) -> bool:
        """Whether the keys were ever read; until then `empty` cannot tell."""
        return self._version is not None

    def refresh(self) -> None:
        """Reads the keys if anybody changed them. Raises StoreUnavailable, and what was known stays."""
        with self._lock:
            version = self._back_end.version()
            if version != self._version:
                keys = {key.hash: key for key in self._back_end.load()}
                self._revoke_again(keys)
                self._publish(keys)
                self._version = version

    def write_last_used(self) -> None:
        """Tells the back end which keys were used since it was last told; what fails is told the next time."""
        self._written_at = self._clock.monotonic()
        used = {
            key_hash: at
            for key_hash, at in self._used.copy().items()
            if at != self._written.get(key_hash) and not self._is_environment(key_hash)
        }
        if used:
            self._touch(used)

    def follow(self) -> None:
        """One round of the reload: what others wrote, and now and then what is to be told to them."""
        self.refresh()
        if self._clock.monotonic() - self._written_at >= LAST_USED_EVERY:
            self.write_last_used()

    def close(self) -> None:
        """Lets the file go; checks go on, and the next change opens it again."""
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

    def _touch(self, used: Mapping[str, float]) -> None:
        try:
            self._back_end.touch(used)
            self._written |= used
        except StoreUnavailable as error:
            log.debug("when %d key(s) were last used is not written yet: %s", len(used), error)

    def _put(self, key: ApiKey) -> None:
        with self._lock:
            self._publish({**self._index, key.hash: key})
            if self._version is not None:
                self._version = _CHANGED_HERE

    def _revoke_again(self, keys: dict[str, ApiKey]) -> None:
        """For a back end that lost a revocation: a Redis that came back from the disk, or its replica."""
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
            raise InvalidParameter(f"{len(left)} keys begin so; give all 8 characters of the prefix")
        if not found:
            raise NotFound("no key begins so; list them first")
        if not left:
            raise InvalidParameter("that key is revoked already")
        if self._is_environment(left[0].hash):
            raise InvalidParameter("that key comes from AUTH_API_KEY; take it out there and restart")
        return left[0]


class KeyReload(Reload):
    """Runner: brings every process to the same keys within 2 s, and tells when keys were used."""

    def __init__(self, keyring: Keyring) -> None:
        super().__init__("keys", keyring.follow, keyring.write_last_used)


def _environment_key(text: str, now: float) -> ApiKey:
    prefix = prefix_of(text) if is_well_formed(text) else ""
    return ApiKey(prefix, hash_of(text), FROM_ENVIRONMENT, "admin", now, None)


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
    if not 0 < ttl <= LONGEST_LIFE:
        raise InvalidParameter("a key's life must be more than 0 s and at most 3650 days")
    return ttl
