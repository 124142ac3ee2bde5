"""The settings: one frozen `Config`, read once, before anything is built.

One name per setting: `cache_ttl` in code and in YAML (flat; nested keys are refused with the flat name of each), `CACHE_TTL`
in the environment. The text below each field says what it means, and docs/settings.md shows it. The environment beats configs/config.<ENVIRONMENT>.yaml, which beats
configs/config.yaml, which beats the defaults below. YAML values are read as the same texts as the environment's, without
YAML's own types: `1:30` is not 90, `no` is not False. Blanks around a value do not count. An empty value (YAML's `null`
too) is as if not given, except for `MAY_BE_EMPTY`, where it means "none".
"""

import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ltp_service.domain.errors import ConfigError
from ltp_service.domain.pair_choice import pairs_to_try, plain_pairs
from ltp_service.domain.pairs import Pair, read_pair
from ltp_service.domain.trade import MAX_COLLECTED_SYMBOLS
from ltp_service.settings.layers import Layer, read_files
from ltp_service.settings.names import advice, is_one_edit_away
from ltp_service.settings.secret_files import file_variables, read_secret_files
from ltp_service.settings.types import (
    AdminKey,
    BindHost,
    CollectorName,
    EnvironmentName,
    Fraction,
    HistoryAddress,
    HistoryUrl,
    HttpUrl,
    Keeping,
    KeyLife,
    LogLevel,
    Origin,
    PriceSource,
    Rate,
    RedisAddress,
    RedisMaster,
    RedisUser,
    Several,
    SupportedPair,
    Symbol,
    WebSocketUrl,
    Word,
    seconds,
    whole,
)

log = logging.getLogger(__name__)

WATCHED_PREFIXES = ("KRAKEN_", "CACHE_", "REDIS_", "RATE_LIMIT_", "AUTH_", "LOG_", "CORS_", "HISTORY_")


class Config(BaseSettings):
    """Every setting, validated. Durations are seconds, rates per second. The constructor reads no environment."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=False
    )

    port: Annotated[int, whole(0, 65_535)] = 8080
    """The TCP port to listen on. 0 takes any free one."""
    host: BindHost = "0.0.0.0"  # noqa: S104 - a container has to be reachable
    """The address or host name to bind. `unix:/path` listens on a socket for nginx instead, without `PORT`."""
    shutdown_timeout: Annotated[float, seconds("1s", "10m")] = 30.0
    """The longest time that running requests have to end after TERM."""
    web_concurrency: Annotated[int, whole(1, 256)] = 1
    """The number of worker processes. Set `CACHE_BACKEND=redis` for more than one. With `memory` each worker has its own
    feed, prices and rate limits, and a client that meets another worker may see a price go back."""
    worker_class: Word[Literal["gevent", "gthread"]] = "gevent"
    """`gevent` answers in greenlets. `gthread` answers in threads, without gevent's patch, and only the environment can
    choose it, not a file."""

    cache_backend: Word[Literal["memory", "redis"]] = "memory"
    """`memory` is for one process, which has its own feed and prices. `redis` gives a fleet of processes one feed, see
    [SCALING.md](SCALING.md)."""
    cache_ttl: Annotated[float, seconds("100ms", "1d")] = 30.0
    """The longest life of a price without evidence that it still is the last trade."""
    stale_after: Annotated[float, seconds("100ms", "1d")] = 120.0
    """A pair without evidence for this long is asked over REST, even if `KRAKEN_FALLBACK_TIMEOUT` is longer."""

    redis_addr: RedisAddress = "localhost:6379"
    """The address of Redis. `rediss` means TLS."""
    redis_username: RedisUser = ""
    """The user in Redis' access control list (ACL). Empty means the user `default`."""
    redis_password: SecretStr = SecretStr("")
    """The password of that user. It is a secret: set it in the environment."""
    redis_db: Annotated[int, whole(0, 1023)] = 0
    """The number of the database in Redis. Each fleet needs its own."""
    redis_sentinels: Several[RedisAddress] = ()
    """The Sentinels, which know where the master is. `REDIS_ADDR` is not used then."""
    redis_master: RedisMaster = "mymaster"
    """The name under which the Sentinels watch the master."""

    supported_pairs: Annotated[Several[SupportedPair], Field(min_length=1)] = tuple(
        map(read_pair, "BTC/USD BTC/EUR BTC/CHF BTC/CAD ETH/USD LTC/USD XRP/USD".split())
    )
    """The pairs that are served. A wildcard stands for listed pairs, and follows Kraken's list as it changes: `*/USD` for
    all with that quote currency, `BTC/*` for all with that base, `*` for all. Answers keep this order; the pairs of a
    wildcard are in alphabetical order. Until the list is known the plain pairs are served. In YAML a wildcard needs
    quotation marks."""
    price_sources: Several[PriceSource] = ("kraken",)
    """The exchanges that tell the last trades of the pairs that are served. `kraken` must be among them, because its last
    trade is the answer. The others show how far to trust it. Each tells the prices of those served pairs
    that it trades in the same quote currency."""
    substitute_sources: Several[PriceSource] = ()
    """The exchanges whose last trade is served where Kraken's price is older than `CACHE_TTL`, the preferred one first.
    `PRICE_SOURCES` must name them too, and `kraken` cannot be one of them. The state is `substitute` then, and answers name
    the exchange. Empty means that such a pair has no price."""
    coinbase_websocket_url: WebSocketUrl = "wss://ws-feed.exchange.coinbase.com"
    """Coinbase Exchange's feed, for `PRICE_SOURCES`."""
    bitstamp_websocket_url: WebSocketUrl = "wss://ws.bitstamp.net"
    """Bitstamp's feed, for `PRICE_SOURCES`."""
    bitstamp_rest_url: HttpUrl = "https://www.bitstamp.net/api/v2"
    """Bitstamp's REST API. It tells the newest trade before a subscription, which the feed does not. A question takes
    `KRAKEN_REQUEST_TIMEOUT` at most."""
    symbols: Annotated[Several[Symbol], Field(min_length=1, max_length=MAX_COLLECTED_SYMBOLS)] = tuple(
        "BTCUSDT ETHUSDT SOLUSDT".split()
    )
    """The symbols that the collectors collect, at most 200. They are the first list: it can be changed over HTTP."""
    collectors: Several[CollectorName] = ("bybit_trades", "binance_trades")
    """The collectors that run: `bybit_trades`, `binance_trades`, `bybit_books`, `binance_books`, `kraken_books`. Set and
    empty means none. `kraken_books` follows the served pairs and tells their bid and ask. The others collect `SYMBOLS`."""
    bybit_websocket_url: WebSocketUrl = "wss://stream.bybit.com/v5/public/spot"
    """Bybit's feed."""
    binance_websocket_url: WebSocketUrl = "wss://stream.binance.com:9443/stream"
    """Binance's feed."""

    rate_limit_enabled: bool = True
    """Whether each client address has one token bucket: in each process, or with `CACHE_BACKEND=redis` for the whole
    fleet."""
    rate_limit_capacity: Annotated[int, whole(1, 1_000_000)] = 100
    """The number of requests that a client may make at once."""
    rate_limit_refill_rate: Rate = 10.0
    """The number of requests that a client may make per second in the long run."""
    trusted_proxies: Annotated[int, whole(0, 16)] = 0
    """The number of proxies before the service whose `X-Forwarded-For` is believed. It must stay 0 where clients reach
    the port directly, because they could name any address."""
    stream_max: Annotated[int, whole(1, 100_000)] = 5000
    """The number of streams that one worker may have open. More are refused with 503."""
    stream_max_per_client: Annotated[int, whole(1, 100_000)] = 20
    """The number of streams that one client address may have open in one worker. More are refused with 429."""
    cors_origins: Several[Origin] = ()
    """The origins whose pages may read the answers, and use `/mcp`. `*` alone means all origins."""

    log_level: LogLevel = "info"
    """The lowest level that is logged. `warn` means `warning`."""
    log_format: Word[Literal["auto", "json", "text"]] = "auto"
    """`json` writes one object per line, `text` is for people. `auto` is text where standard output is a terminal, else
    JSON."""
    metrics_per_pair: bool = True
    """Whether `/metrics` has series for each pair, about 800 bytes a pair. `false` gives sums in their place, and alerts
    then name no pair, see [operations.md](operations.md#series-of-pairs)."""
    environment: EnvironmentName = "development"
    """The name in `configs/config.<ENVIRONMENT>.yaml`. It is read as a variable only, not from a file."""
    price_divergence_limit: Fraction = 0.05
    """The fraction by which the prices of WebSocket and REST may differ before that counts as a divergence. A lone trade
    that leaves the prices of the last minute by more than this fraction is held back. A price that is farther than this
    fraction from the median of other exchanges is told as `deviating`."""

    kraken_websocket_enabled: bool = True
    """`false` serves prices from REST alone. The status is `ok` while REST works, and the alert `LtpRestAloneDown` fires
    when it does not."""
    kraken_websocket_url: WebSocketUrl = "wss://ws.kraken.com/v2"
    """Kraken's feed. A path that ends in `/v2` speaks protocol v2, any other path v1."""
    kraken_websocket_timeout: Annotated[float, seconds("100ms", "5m")] = 30.0
    """The longest time to connect: name lookup, TCP, proxy, TLS and handshake together. It holds for the other exchanges
    too."""
    kraken_idle_timeout: Annotated[float, seconds("100ms", "10m")] = 10.0
    """A connection without any frame for this long is replaced. It holds for the other exchanges too, for Bybit and
    Binance with 30 s at least."""
    kraken_reconnect_delay: Annotated[float, seconds("10ms", "1m")] = 5.0
    """The base of the back-off between attempts to connect."""
    kraken_max_reconnect_tries: Annotated[int, whole(0, 100)] = 5
    """The number of fast attempts to connect. After them the service tries slowly, for ever. It holds for the other
    exchanges too."""
    kraken_rest_url: HttpUrl = "https://api.kraken.com/0/public"
    """Kraken's REST API."""
    kraken_timeout: Annotated[float, seconds("100ms", "5m")] = 10.0
    """The longest time of one REST operation, with its retries."""
    kraken_request_timeout: Annotated[float, seconds("100ms", "1m")] = 3.0
    """The longest time of one try, in total. It must not be longer than `KRAKEN_TIMEOUT`."""
    kraken_fallback_timeout: Annotated[float, seconds("0s", "10m")] = 15.0
    """A pair without evidence from the connected feed for this long comes from REST. More than half of `CACHE_TTL` counts
    as that half. Without a connection half a second is enough."""
    kraken_max_retries: Annotated[int, whole(0, 10)] = 3
    """The number of tries after the first one."""

    auth_api_key: AdminKey = SecretStr("")
    """An admin key of at least 24 characters, or empty for none. It is a secret: set it in the environment."""
    auth_key_ttl: KeyLife = 604_800.0
    """The life of a new key."""
    auth_enabled: bool = False
    """`true` makes reads need a key too."""
    database_path: Path = Path("data/ltp.sqlite3")
    """The SQLite file for keys and collected symbols. A file that cannot be used is an error in the log, in `/ready` and
    in the status, and costs no price. With `CACHE_BACKEND=redis` keys and symbols are in Redis, which should then write
    to its disk."""

    history_url: HistoryAddress = HistoryUrl("sqlite:data/history.sqlite3")
    """Where every trade of Kraken is recorded: a SQLite file, or PostgreSQL for processes on several machines. Empty means
    that nothing is recorded, and that the routes of the history answer 501. The password is a secret: set it in the
    environment. See [history.md](history.md)."""
    history_keep: Keeping = 90 * 86_400.0
    """How long trades are kept. One-minute candles stay."""

    @property
    def plain_pairs(self) -> tuple[Pair, ...]:
        """The pairs of `supported_pairs` that are no wildcards."""
        return plain_pairs(self.supported_pairs)

    @property
    def pairs_to_try(self) -> tuple[Pair, ...]:
        """The plain pairs, or one pair that is certainly listed when all of them are wildcards."""
        return pairs_to_try(self.supported_pairs)

    @field_validator("kraken_request_timeout")
    @classmethod
    def _one_try_fits_the_operation(cls, value: float, info: ValidationInfo) -> float:
        whole = info.data.get("kraken_timeout", value)
        if value > whole:
            raise ValueError(f"must not be longer than KRAKEN_TIMEOUT ({whole:g}s), of which it is one try")
        return value

    @field_validator("price_sources")
    @classmethod
    def _kraken_is_a_source(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "kraken" not in value:
            raise ValueError("must name kraken too, because its last trade is the answer")
        return value

    @field_validator("substitute_sources")
    @classmethod
    def _substitutes_are_sources(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if "kraken" in value:
            raise ValueError("must not name kraken, because the others stand in for it")
        sources = info.data.get("price_sources", value)
        if missing := [name for name in value if name not in sources]:
            raise ValueError(
                f"must be among PRICE_SOURCES, which lacks {' and '.join(missing)}; add it there"
            )
        return value

    @field_validator("database_path")
    @classmethod
    def _names_a_file(cls, value: Path) -> Path:
        if not value.name:
            raise ValueError("must name a file, for example data/ltp.sqlite3")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _any_origin_or_exact_ones(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "*" in value and len(value) > 1:
            raise ValueError("must be * alone or exact origins, not both")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def load_config(environ: Mapping[str, str] | None = None, directory: Path | None = None) -> Config:
    """Reads the environment (default: this process's) and the YAML files in `directory` (default: `files_folder`).

    Raises ConfigError with every problem: its variable or file:key, the refused value unless it is secret, the limit.
    """
    problems: list[str] = []
    return config_of(read_layers(environ, directory, problems), problems)


def read_layers(
    environ: Mapping[str, str] | None, directory: Path | None, problems: list[str]
) -> tuple[Layer, ...]:
    """The files of secrets, the environment and the YAML files, the strongest first. Adds what is wrong with the files to
    `problems`."""
    environ = os.environ if environ is None else environ
    texts = {
        field: environ[field.upper()].strip() for field in Config.model_fields if field.upper() in environ
    }
    files = read_files(Config, directory or files_folder(), texts.get("environment", "").lower(), problems)
    secrets = read_secret_files(Config, environ, problems)
    return (secrets, Layer(Config, texts, str.upper), *files)


def files_folder() -> Path:
    """The folder of the YAML files: `configs` of the working directory where it has some, else that of the package, which
    stands beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    folders = (Path.cwd() / "configs", package / "configs", package.parent / "configs")
    return next((folder for folder in folders if any(folder.glob("config*.yaml"))), folders[0])


def config_of(layers: Sequence[Layer], problems: Sequence[str] = ()) -> Config:
    """The settings of these layers, of which the first beats the next. Raises ConfigError with every problem, those that
    were found before too."""
    problems = list(problems)
    sources: dict[str, Any] = {"_build_sources": (layers, {})}
    try:
        config = Config(**sources)
    except ValidationError as error:
        problems += [_problem(details, layers) for details in error.errors(include_url=False)]
    if problems:
        raise ConfigError(problems)
    return config


_accepted: list[Config] = []
"""The settings that this process runs with, or the process that it was forked from."""


def keep_or_load_config(*checks: Callable[[Config], Sequence[str]]) -> Config:
    """`load_config`, then `checks`, each of which returns its problems.

    When settings are refused, the ones accepted before stay in force, because a mistake in a file must not end a
    running service at its reload (HUP). Raises ConfigError where none were accepted before.
    """
    try:
        config = load_config()
        if problems := [problem for check in checks for problem in check(config)]:
            raise ConfigError(problems)
        _accepted[:] = [config]
    except ConfigError as error:
        if not _accepted:
            raise
        log.error("the settings stay as they are: %s", error)
    return _accepted[0]


def unknown_names(environ: Mapping[str, str]) -> list[str]:
    """One warning for each variable that looks like a setting and is none; values are never shown."""
    known = [*(field.upper() for field in Config.model_fields), *file_variables(Config)]
    return [
        f"{name} is not a setting and has no effect; {_advice(name, known)}"
        for name in sorted(environ)
        if name not in known
        and not _OF_A_PLATFORM.search(f"{name}={environ[name]}")
        and _is_meant_for_us(name.upper(), known)
    ]


_FORMER_NAMES = {"BUSINESS_SUPPORTED_PAIRS": "SUPPORTED_PAIRS"}
"""Names of the Go service's settings, and the names here."""

_OF_A_PLATFORM = re.compile(r"_SERVICE_(HOST|PORT)(_\w+)?=|_PORT_\d+_(TCP|UDP)(_\w+)?=|_PORT=(tcp|udp)://")
"""Variables that Kubernetes and Docker set in a container beside a service called, for example, redis."""


def _is_meant_for_us(name: str, known: Iterable[str]) -> bool:
    return (
        name in _FORMER_NAMES
        or name.startswith(WATCHED_PREFIXES)
        or any(name == each or is_one_edit_away(name, each) for each in known)
    )


def _advice(name: str, known: Iterable[str]) -> str:
    former = _FORMER_NAMES.get(name.upper())
    return f"it is called {former} here" if former else advice(name, known)


def _problem(details: ErrorDetails, layers: Iterable[Layer]) -> str:
    field = str(details["loc"][0])
    place = next((layer.place(field) for layer in layers if field in layer.texts), field.upper())
    is_secret = Config.model_fields[field].annotation in {SecretStr, HistoryUrl}
    value = "a value (not shown)" if is_secret else _shown(details["input"])
    rule = _RULES.get(details["type"], "{msg}").format(**details.get("ctx", {}), msg=details["msg"])
    return f"{place}: {value} refused: {rule}"


_RULES = {
    "value_error": "{error}",
    "bool_parsing": "must be true or false",
    "literal_error": "must be {expected}",
    "too_short": "must name at least one",
    "too_long": "must name at most {max_length}, not {actual_length}",
}


def _shown(value: object) -> str:
    """The value, without user, password and query of an address."""
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    text = re.sub(r"(?s).*@", "***@", text)
    return repr(re.sub(r"(?s)\?.*", "?***", text)[:80])
