"""Tickets: a key's permission to open one stream, for a browser, which can set no header there."""

from collections.abc import Callable
from hashlib import sha256
from typing import Protocol

from ltp_service.domain.errors import KeyInvalid, RateLimited
from ltp_service.keys.key import random_text
from ltp_service.keys.keyring import Keyring
from ltp_service.runtime.clock import Clock

TICKET_LIFE_SECONDS = 30.0
"""Seconds for which a ticket can be used."""

MOST_TICKETS = 10_000
"""Most tickets kept at the same time, so that no client can fill the disk or Redis."""

MARK = "ltp_ticket_"


class TicketBackEnd(Protocol):
    """Stores tickets by their hash, for all processes. Every method may raise StoreUnavailable."""

    def put(self, ticket_hash: str, key_hash: str, now: float, expires: float) -> bool:
        """Stores a ticket of that key until the unix second `expires`; False when there are too many."""

    def take(self, ticket_hash: str, now: float) -> str | None:
        """Removes a ticket and returns the hash of its key. None for an unknown one, and for one that has expired."""


class Tickets:
    """Makes tickets and takes them, each once, also when another process made them."""

    def __init__(
        self,
        back_end: TicketBackEnd,
        keyring: Keyring,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._back_end = back_end
        self._keyring = keyring
        self._clock = clock
        self._random_bytes = random_bytes

    def make(self, key_hash: str | None) -> tuple[str, float]:
        """A new ticket and the unix second at which it expires. Raises RateLimited and StoreUnavailable.

        Without a key, where none is needed, nothing is stored.
        """
        text, now = random_text(MARK, self._random_bytes), self._clock.wall()
        expires = now + TICKET_LIFE_SECONDS
        if key_hash is not None and not self._back_end.put(_hash_of(text), key_hash, now, expires):
            raise RateLimited(f"{MOST_TICKETS} tickets wait to be used; try again later", TICKET_LIFE_SECONDS)
        return text, expires

    def take(self, text: str) -> str:
        """Uses a ticket up; returns the hash of its key. Raises KeyInvalid for one that is unknown, used, too old, or of a key that is valid no more."""
        key_hash = self._back_end.take(_hash_of(text), self._clock.wall()) if text.startswith(MARK) else None
        if key_hash is None or not self._keyring.is_active(key_hash):
            raise KeyInvalid(
                f"the ticket is not valid: it can be used once, within {TICKET_LIFE_SECONDS:.0f} s;"
                " get another one from POST /api/v1/stream/tickets"
            )
        return key_hash


def _hash_of(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
