"""One Redis, by its address or through Sentinels: short timeouts, no hidden retries, every failure a StoreUnavailable.

With redis-py's defaults, five seconds and ten retries, a stalled server would hold a caller for a minute.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

from redis import Redis, exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from ltp_service.domain.errors import StoreUnavailable
from ltp_service.settings.config import Config

REDIS_TIMEOUT_SECONDS = 0.25
"""Seconds for making a connection, and again for an answer."""

LEFT_ALONE_SECONDS = 0.2
"""Seconds without calls after one that Redis did not answer, so that only its caller waits for a stalled server."""

HEALTH_CHECK_AFTER_SECONDS = 15
"""Seconds after which an idle connection is checked before it is used."""

_SILENCE = (exceptions.ConnectionError, exceptions.TimeoutError)

T = TypeVar("T")

Argument = str | bytes | int | float
Script = Callable[[Sequence[str], Sequence[Argument]], Any]
"""Takes keys and arguments, returns the script's result with texts as bytes. Raises StoreUnavailable."""


class RedisClient:
    """Commands to one Redis. Safe from any thread or greenlet. Every method may raise StoreUnavailable."""

    def __init__(
        self,
        redis: Any,
        name: str,
        monotonic: Callable[[], float],
        database: int,
        sentinels: Any = None,
    ) -> None:
        """`sentinels`: the pool that asks them for the master at each new connection; None where there are none."""
        self._redis = redis
        self._name = name
        self._monotonic = monotonic
        self._sentinels = sentinels
        self.database = database
        """Its number. It separates keys, but not channels (redis.io/docs/latest/develop/pubsub)."""
        self._refused_until = 0.0

    def run(self, *command: Argument) -> Any:
        """The answer to one command."""
        return self._attempt(lambda: self._redis.execute_command(*command))

    def script(self, source: str) -> Script:
        """A Lua script, sent once and then called by its hash. Redis runs no other command in between."""
        prepared = self._redis.register_script(source)
        return lambda keys, arguments: self._attempt(lambda: prepared(keys=keys, args=arguments))

    def time(self) -> float:
        """The server's clock in unix seconds."""
        seconds, microseconds = self._attempt(self._redis.time)
        return float(seconds + microseconds / 1e6)

    def subscribe(self, *channels: str) -> "ChannelSubscription":
        """Listens to channels from now on, on its own connection."""
        return self._attempt(lambda: ChannelSubscription(self._redis.pubsub(), channels, self.translated))

    @property
    def has_sentinels(self) -> bool:
        """Whether Sentinels name the master."""
        return self._sentinels is not None

    @property
    def place(self) -> str:
        """Which Redis the Sentinels named last, as host and port; empty where there are none, or before they were asked."""
        known = self._sentinels.master_address if self._sentinels else None
        return _place(*known) if known else ""

    def look_for_master(self) -> str:
        """Asks the Sentinels which Redis is the master, and sends later commands there; its place.

        A Redis that the Sentinels have replaced may still answer, where only they cannot reach it. So a connection that
        stands is no sign that it is the right one.
        """
        return _place(*self.translated(self._sentinels.get_master_address))

    def close(self) -> None:
        """Closes every connection; the next use makes a new one."""
        self._redis.close()

    def _attempt(self, use: Callable[[], T]) -> T:
        """Calls `use`, but fails at once for LEFT_ALONE_SECONDS after the server did not answer."""
        if self._monotonic() < self._refused_until:
            raise StoreUnavailable(f"{self._name} did not answer just now")
        try:
            return self.translated(use)
        except StoreUnavailable as error:
            if isinstance(error.__cause__, _SILENCE):
                self._refused_until = self._monotonic() + LEFT_ALONE_SECONDS
            raise

    def translated(self, use: Callable[[], T]) -> T:
        """Calls `use` and turns its errors into StoreUnavailable."""
        try:
            return use()
        except exceptions.RedisError as error:
            problem = "does not answer" if isinstance(error, _SILENCE) else "refused"
            raise StoreUnavailable(f"{self._name} {problem}: {error}; {_remedy(error)}") from error


class ChannelSubscription:
    """Messages of some channels, in the order they were published. Messages sent while it is cut are lost."""

    def __init__(
        self, pubsub: Any, channels: Sequence[str], translated: Callable[[Callable[[], Any]], Any]
    ) -> None:
        self._pubsub = pubsub
        self._translated = translated
        self._left = len(channels)
        """Number of channels whose subscription Redis has not acknowledged yet."""
        self._pubsub.subscribe(*channels)
        connection = pubsub.connection
        self.place = _place(connection.host, connection.port)
        """Which Redis it listens to, as host and port."""
        while self._left:
            if self.receive(REDIS_TIMEOUT_SECONDS) is None:
                self.close()
                raise exceptions.TimeoutError("no answer to SUBSCRIBE")

    def receive(self, timeout: float) -> tuple[str, bytes] | str | None:
        """A channel with its message, the type of another message (`pong`), or None after `timeout` seconds.

        Raises StoreUnavailable when the connection was lost, even if redis-py has made a new one.
        """
        message = self._translated(lambda: self._pubsub.get_message(timeout=timeout))
        if message is None:
            return None
        if message["type"] == "message":
            return message["channel"].decode(), message["data"]
        if message["type"] == "subscribe":
            if not self._left:
                raise StoreUnavailable("the subscription was cut; what was published meanwhile is lost")
            self._left -= 1
        return str(message["type"])

    def ping(self) -> None:
        """Sends a ping, which Redis answers with `pong`. Raises StoreUnavailable."""
        self._translated(self._pubsub.ping)

    def close(self) -> None:
        """Ends the subscription and its connection."""
        self._pubsub.close()


def open_redis(config: Config, monotonic: Callable[[], float]) -> RedisClient:
    """The Redis that the settings name; nothing is sent yet."""
    options: dict[str, Any] = {
        "socket_timeout": REDIS_TIMEOUT_SECONDS,
        "socket_connect_timeout": REDIS_TIMEOUT_SECONDS,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": HEALTH_CHECK_AFTER_SECONDS,
        "protocol": 2,
        "driver_info": None,  # saves two commands on each new connection
    }
    own = options | {
        "db": config.redis_db,
        "username": config.redis_username or None,
        "password": config.redis_password.get_secret_value() or None,
    }
    if config.redis_sentinels:
        addresses = [_parts(address) for address in config.redis_sentinels]
        tls = {"ssl": True} if any(secure for _, _, secure in addresses) else {}
        sentinel: Any = Sentinel(  # type: ignore[no-untyped-call]
            [(host, port) for host, port, _ in addresses], sentinel_kwargs=options | tls, **own, **tls
        )
        name = f"Redis {config.redis_master!r} (REDIS_SENTINELS)"
        redis = sentinel.master_for(config.redis_master)
        return RedisClient(redis, name, monotonic, config.redis_db, redis.connection_pool)
    host, port, secure = _parts(config.redis_addr)
    name = f"Redis at {host}:{port} (REDIS_ADDR)"
    return RedisClient(Redis(host, port, ssl=secure, **own), name, monotonic, config.redis_db)


def _place(host: str, port: int) -> str:
    return f"{host}:{port}"


def _parts(address: str) -> tuple[str, int, bool]:
    """Host, port, and whether it is reached over TLS."""
    parts = urlsplit(address if "://" in address else f"redis://{address}")
    return parts.hostname or "", parts.port or 0, parts.scheme == "rediss"


_REMEDIES: tuple[tuple[type[exceptions.RedisError], str], ...] = (
    (exceptions.AuthenticationError, "are REDIS_USERNAME and REDIS_PASSWORD right?"),
    (exceptions.NoPermissionError, "let REDIS_USERNAME do that: docs/SCALING.md has its rights"),
    (exceptions.OutOfMemoryError, "give it more maxmemory"),
    (exceptions.ReadOnlyError, "does REDIS_ADDR name a replica instead of its master?"),
    (exceptions.ResponseError, "its own log may say more"),
)
"""What to do about an error: the first kind that it is of counts."""


def _remedy(error: exceptions.RedisError) -> str:
    if "NOAUTH" in str(error):
        return _REMEDIES[0][1]
    if "WRONGTYPE" in str(error):
        return "does another program use the same keys? Give this one a REDIS_DB of its own"
    known = (remedy for kind, remedy in _REMEDIES if isinstance(error, kind))
    return next(known, "is it running there, and reachable?")
