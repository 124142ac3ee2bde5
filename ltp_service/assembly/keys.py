"""Opens the keys of DATABASE_PATH or of Redis."""

import secrets
import time
from typing import TYPE_CHECKING

from ltp_service.keys.keyring import KeyBackEnd, KeyReload, Keyring
from ltp_service.keys.sqlite import SqliteKeys
from ltp_service.runtime.clock import Clock
from ltp_service.runtime.database import Database
from ltp_service.settings.config import Config

if TYPE_CHECKING:
    from ltp_service.redis.client import RedisClient


def open_keyring(
    config: Config, clock: Clock, database: Database | None = None, redis: "RedisClient | None" = None
) -> Keyring:
    """The keys of DATABASE_PATH or of Redis, read once. While they cannot be read, only AUTH_API_KEY is known."""
    back_end = _redis(config, clock, redis) if config.cache_backend == "redis" else None
    keyring = Keyring(
        back_end or SqliteKeys(database or Database(config.database_path, clock, time.sleep)),
        clock,
        config.auth_api_key.get_secret_value() or None,
        secrets.token_bytes,
    )
    KeyReload(keyring).attempt(keyring.refresh)
    return keyring


def _redis(config: Config, clock: Clock, redis: "RedisClient | None") -> KeyBackEnd:
    # Imported here, because a process without Redis does not load it.
    from ltp_service.redis.client import open_redis  # noqa: PLC0415
    from ltp_service.redis.keys import RedisKeys  # noqa: PLC0415

    return RedisKeys(redis or open_redis(config, clock.monotonic))
