"""The keys and tickets, in a file or in Redis."""

import secrets
from typing import TYPE_CHECKING

from ltp_service.keys.keyring import KeyBackEnd, KeyReload, Keyring
from ltp_service.keys.sqlite import SqliteKeys, SqliteTickets
from ltp_service.keys.tickets import TicketBackEnd, Tickets
from ltp_service.runtime.database import Database
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import Config

if TYPE_CHECKING:
    from ltp_service.redis.client import RedisClient


def open_keyring(
    config: Config, runtime: Runtime, database: Database | None = None, redis: "RedisClient | None" = None
) -> Keyring:
    """The keys of DATABASE_PATH or of Redis, read once. While they cannot be read, only AUTH_API_KEY is known."""
    back_end: KeyBackEnd
    if config.cache_backend == "redis":
        from ltp_service.redis.client import open_redis  # noqa: PLC0415 - loaded only with Redis
        from ltp_service.redis.keys import RedisKeys  # noqa: PLC0415

        back_end = RedisKeys(redis or open_redis(config, runtime.clock.monotonic))
    else:
        back_end = SqliteKeys(database or Database(config.database_path, runtime))
    keyring = Keyring(
        back_end,
        runtime.clock,
        environment_key=config.auth_api_key.get_secret_value() or None,
        random_bytes=secrets.token_bytes,
    )
    KeyReload(keyring).attempt(keyring.refresh)
    return keyring


def open_tickets(
    keyring: Keyring, runtime: Runtime, database: Database, redis: "RedisClient | None"
) -> Tickets:
    """The tickets of the file or of Redis."""
    back_end: TicketBackEnd = SqliteTickets(database)
    if redis is not None:
        from ltp_service.redis.keys import RedisTickets  # noqa: PLC0415 - loaded only with Redis

        back_end = RedisTickets(redis)
    return Tickets(back_end, keyring, runtime.clock, secrets.token_bytes)
