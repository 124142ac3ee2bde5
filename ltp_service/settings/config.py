"""The settings: one frozen `Config`, read once, before anything is built.

One name per setting: `cache_ttl` in code and in YAML (flat; nested keys are refused with the flat name of each),
`CACHE_TTL` in the environment; README.md says what each one means. The environment beats configs/config.<ENVIRONMENT>.yaml, which beats configs/config.yaml, which
beats the defaults below. YAML values are read as the same texts as the environment's, without YAML's own types:
`1:30` is not 90, `no` is not False. Blanks around a value do not count. An empty value (YAML's `null` too) is as
if not given, except for `MAY_BE_EMPTY`, where it means "none".
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
from ltp_service.domain.pairs import read_pair
from ltp_service.domain.trade import MOST_SYMBOLS
from ltp_service.settings.layers import Layer, read_files
from ltp_service.settings.names import advice, is_one_edit_away
from ltp_service.settings.types import (
    AdminKey,
    BindHost,
    CollectorName,
    EnvironmentName,
    Fraction,
    HttpUrl,
    KeyLife,
    LogLevel,
    Origin,
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

CONFIGS = Path(__file__).resolve().parent.parent.parent / "configs"
WATCHED_PREFIXES = ("KRAKEN_", "CACHE_", "REDIS_", "RATE_LIMIT_", "AUTH_", "LOG_", "CORS_")


class Config(BaseSettings):
    """Every setting, validated. Durations are seconds, rates per second. Built directly, it reads no environment."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=False
    )

    port: Annotated[int, whole(0, 65_535)] = 8080
    host: BindHost = "0.0.0.0"  # noqa: S104 - a container has to be reachable
    shutdown_timeout: Annotated[float, seconds("1s", "10m")] = 30.0
    web_concurrency: Annotated[int, whole(1, 256)] = 1
    worker_class: Word[Literal["gevent", "gthread"]] = "gevent"

    cache_backend: Word[Literal["memory", "redis"]] = "memory"
    cache_ttl: Annotated[float, seconds("100ms", "1d")] = 30.0
    stale_after: Annotated[float, seconds("100ms", "1d")] = 120.0

    redis_addr: RedisAddress = "localhost:6379"
    redis_username: RedisUser = ""
    redis_password: SecretStr = SecretStr("")
    redis_db: Annotated[int, whole(0, 1023)] = 0
    redis_sentinels: Several[RedisAddress] = ()
    redis_master: RedisMaster = "mymaster"

    supported_pairs: Annotated[Several[SupportedPair], Field(min_length=1)] = tuple(
        map(read_pair, "BTC/USD BTC/EUR BTC/CHF BTC/CAD ETH/USD LTC/USD XRP/USD".split())
    )
    symbols: Annotated[Several[Symbol], Field(min_length=1, max_length=MOST_SYMBOLS)] = (
        "BTCUSDT",
        "ETHUSDT",
        "SOLUSDT",
    )
    collectors: Several[CollectorName] = ("bybit_trades", "binance_trades")
    bybit_websocket_url: WebSocketUrl = "wss://stream.bybit.com/v5/public/spot"
    binance_websocket_url: WebSocketUrl = "wss://stream.binance.com:9443/stream"

    rate_limit_enabled: bool = True
    rate_limit_capacity: Annotated[int, whole(1, 1_000_000)] = 100
    rate_limit_refill_rate: Rate = 10.0
    trusted_proxies: Annotated[int, whole(0, 16)] = 0
    cors_origins: Several[Origin] = ()

    log_level: LogLevel = "info"
    log_format: Word[Literal["json", "text"]] = "json"
    environment: EnvironmentName = "development"
    price_divergence_limit: Fraction = 0.05

    kraken_websocket_enabled: bool = True
    kraken_websocket_url: WebSocketUrl = "wss://ws.kraken.com/v2"
    kraken_websocket_timeout: Annotated[float, seconds("100ms", "5m")] = 30.0
    kraken_idle_timeout: Annotated[float, seconds("100ms", "10m")] = 10.0
    kraken_reconnect_delay: Annotated[float, seconds("10ms", "1m")] = 5.0
    kraken_max_reconnect_tries: Annotated[int, whole(0, 100)] = 5
    kraken_rest_url: HttpUrl = "https://api.kraken.com/0/public"
    kraken_timeout: Annotated[float, seconds("100ms", "5m")] = 10.0
    kraken_request_timeout: Annotated[float, seconds("100ms", "1m")] = 3.0
    kraken_fallback_timeout: Annotated[float, seconds("0s", "10m")] = 15.0
    kraken_max_retries: Annotated[int, whole(0, 10)] = 3

    auth_api_key: AdminKey = SecretStr("")
    auth_key_ttl: KeyLife = 604_800.0
    auth_enabled: bool = False
    database_path: Path = Path("data/ltp.sqlite3")

    @field_validator("kraken_request_timeout")
    @classmethod
    def _one_try_fits_the_operation(cls, value: float, info: ValidationInfo) -> float:
        whole = info.data.get("kraken_timeout", value)
        if value > whole:
            raise ValueError(f"must not be longer than KRAKEN_TIMEOUT ({whole:g}s), of which it is one try")
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
    """Reads the environment (default: this process's) and the YAML files in `directory` (default: configs/).

    Raises ConfigError with every problem: its variable or file:key, the value refused (never a secret's), the limit.
    """
    environ = os.environ if environ is None else environ
    texts = {
        field: environ[field.upper()].strip() for field in Config.model_fields if field.upper() in environ
    }
    problems: list[str] = []
    files = read_files(Config, directory or CONFIGS, texts.get("environment", "").lower(), problems)
    layers = (Layer(Config, texts, str.upper), *files)
    sources: dict[str, Any] = {"_build_sources": (layers, {})}
    try:
        config = Config(**sources)
    except ValidationError as error:
        problems += [_problem(details, layers) for details in error.errors(include_url=False)]
    if problems:
        raise ConfigError(problems)
    return config


_accepted: list[Config] = []
"""The settings that this process, or the one that it was forked from, runs with."""


def keep_or_load_config(*checks: Callable[[Config], Sequence[str]]) -> Config:
    """`load_config` and more `checks`, each of which gives its problems.

    Refused settings leave the ones accepted before in force, if there are any: a reload (HUP) reads the files
    again in a running service, which a mistake in them must not end.
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
    """One warning for each variable that seems to be meant for us and is not a setting; values are never shown."""
    known = [field.upper() for field in Config.model_fields]
    return [
        f"{name} is not a setting and has no effect; {_advice(name, known)}"
        for name in sorted(environ)
        if name not in known
        and not _OF_A_PLATFORM.search(f"{name}={environ[name]}")
        and _is_meant_for_us(name.upper(), known)
    ]


_FORMER_NAMES = {"BUSINESS_SUPPORTED_PAIRS": "SUPPORTED_PAIRS"}
"""Of a service that this one replaces."""

_OF_A_PLATFORM = re.compile(r"_SERVICE_(HOST|PORT)(_\w+)?=|_PORT_\d+_(TCP|UDP)(_\w+)?=|_PORT=(tcp|udp)://")
"""What Kubernetes and Docker set in a container beside a service called, say, redis."""


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
    value = (
        "a value (not shown)"
        if Config.model_fields[field].annotation is SecretStr
        else _shown(details["input"])
    )
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
    """The value, without what may be a password in an address."""
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    text = re.sub(r"(?s).*@", "***@", text)
    return repr(re.sub(r"(?s)\?.*", "?***", text)[:80])
