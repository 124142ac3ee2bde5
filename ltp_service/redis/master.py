"""Leaves a Redis that the Sentinels have replaced, even when it still answers."""

import logging
from collections.abc import Callable
from threading import Event

from ltp_service.domain.errors import StoreUnavailable
from ltp_service.redis.client import RedisClient

log = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 1.0
"""Seconds between two questions to the Sentinels. For as long, processes of a fleet may follow different masters."""


class MasterWatch:
    """Runner: asks the Sentinels for the master, and tells which one it is."""

    name = "master watch"

    def __init__(self, client: RedisClient, moved: Callable[[str], None]) -> None:
        """`moved` is called after each answer with the place of the master."""
        self._client = client
        self._moved = moved

    def run(self, stop: Event) -> None:
        while not stop.wait(LOOK_EVERY_SECONDS):
            try:
                self._moved(self._client.look_for_master())
            except StoreUnavailable as error:
                # The present master may be well. A process that cannot reach it notices that without the Sentinels.
                log.warning("%s", error, extra={"once_a_minute": ("redis", "sentinels")})
