"""How many streams may be open, in this worker and by one client."""

from collections import Counter

from ltp_service.domain.errors import TooManyStreams, TooManyStreamsOfClient

RETRY_AFTER_SECONDS = 5
"""Retry-After of a refused stream."""


class Places:
    """Counts the open streams."""

    def __init__(self, most: int, most_per_client: int) -> None:
        self._most, self._most_per_client = most, most_per_client
        self._by_client: Counter[str] = Counter()
        self.taken = 0

    def check(self, client: str) -> None:
        """Raises TooManyStreams or TooManyStreamsOfClient when there is no place for one more of `client`."""
        if self._by_client[client] >= self._most_per_client:
            raise TooManyStreamsOfClient(
                f"this address has {self._most_per_client} streams open already; close one first",
                RETRY_AFTER_SECONDS,
            )
        if self.taken >= self._most:
            raise TooManyStreams(
                f"{self._most} streams are open here already; try again later", RETRY_AFTER_SECONDS
            )

    def take(self, client: str) -> None:
        """Takes a place."""
        self._by_client[client] += 1
        self.taken += 1

    def leave(self, client: str) -> None:
        """Gives it back."""
        self.taken -= 1
        self._by_client[client] -= 1
        if not self._by_client[client]:
            del self._by_client[client]
