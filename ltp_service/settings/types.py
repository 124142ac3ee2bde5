"""The types of settings: each turns a text into a typed value, or refuses it and says what it accepts.

Values that are already typed are held to the same limits, so that code and tests may write `Config(cache_ttl=0.5)`.
"""

import re
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, PlainValidator, SecretStr

from ltp_service.domain.errors import InvalidParameter
from ltp_service.domain.pair_choice import Choice, Wildcard, read_choice
from ltp_service.domain.pairs import Pair
from ltp_service.domain.trade import SYMBOL_RULE, is_symbol

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1, "ms": 0.001}
_DURATION = re.compile("".join(rf"(?:({_NUMBER}){unit})?" for unit in _UNITS))
SHORTEST_ADMIN_KEY = 24
"""Characters; 24 random letters and digits have 142 bits."""
LONGEST_ADMIN_KEY = 1024
"""Characters; deploy/nginx.conf takes headers of 4 KB."""
_ADMIN_KEY = re.compile(rf"[!-~]{{{SHORTEST_ADMIN_KEY},{LONGEST_ADMIN_KEY}}}")
ENVIRONMENT_NAME = "[a-z0-9][a-z0-9_-]*"
_NAME = r"(?:[A-Za-z0-9_-]+\.)*[A-Za-z_][A-Za-z0-9_-]*"


def _accept(what: str, read: Callable[[Any], Any]) -> BeforeValidator:
    """A validator from `read`, which returns None for a value that it refuses."""

    def check(value: object) -> object:
        if (accepted := read(value)) is None:
            raise ValueError(f"must be {what}")
        return accepted

    return BeforeValidator(check)


def _number(what: str, read: Callable[[str], float | None], low: float, high: float) -> BeforeValidator:
    def bounded(value: str | float) -> float | None:
        number = read(value) if isinstance(value, str) else value
        return number if number is not None and low <= number <= high else None

    return _accept(what, bounded)


def _plain(text: str) -> float | None:
    return float(text) if re.fullmatch(_NUMBER, text) else None


def _digits(text: str) -> int | None:
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None


def _duration(text: str) -> float | None:
    parts = _DURATION.fullmatch(text)
    if not parts or not text:
        return _plain(text)
    amounts = zip(parts.groups(), _UNITS.values(), strict=True)
    return round(sum(float(number) * size for number, size in amounts if number), 6)


def _rate(text: str) -> float | None:
    parts = re.fullmatch(rf"({_NUMBER})(?:/([smh]))?", text)
    return float(parts[1]) / _UNITS[parts[2] or "s"] if parts else None


def seconds(low: str, high: str) -> BeforeValidator:
    what = f"{low} to {high}, written like 30s, 500ms, 2m, 1m30s or a bare number of seconds"
    return _number(what, _duration, _duration(low) or 0.0, _duration(high) or 0.0)


def whole(low: int, high: int) -> BeforeValidator:
    return _number(f"a whole number from {low} to {high}", _digits, low, high)


def _text(pattern: str, what: str) -> BeforeValidator:
    return _accept(what, lambda text: text if re.fullmatch(pattern, text, re.ASCII) else None)


def _is_url(text: str, *schemes: str) -> bool:
    """Whether `text` is scheme://host[:port][/path] and nothing else."""
    try:
        parts = urlsplit(text)
        named = re.fullmatch(rf"{_NAME}|[0-9.]+|[0-9a-f:]+", parts.hostname or "")
        return bool(named) and parts.port != 0 and parts.scheme in schemes and not re.search(r"[\s@?#]", text)
    except ValueError:  # urlsplit and port raise it for brackets and digits that make no address
        return False


def _url(*schemes: str) -> BeforeValidator:
    """Cuts off a slash at the end, so that `…/v2/` means the same as `…/v2`."""
    forms = " or ".join(f"{scheme}://host[:port][/path]" for scheme in schemes)
    return _accept(
        f"{forms}, without credentials, query or fragment",
        lambda text: text.rstrip("/") if _is_url(text, *schemes) else None,
    )


def _redis_address(text: str) -> str | None:
    address = text.removesuffix("/")
    url = address if "://" in address else f"redis://{address}"
    return address if _is_url(url, "redis", "rediss") and re.fullmatch(r"\w+://[^/]+:[0-9]+", url) else None


def _bind_host(text: str) -> str | None:
    """The address, IPv6 in brackets, ready for host:port; None for what is none."""
    if re.fullmatch(rf"unix:/\S+|{_NAME}", text, re.ASCII):
        return text
    try:
        address = ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
    return f"[{address}]" if isinstance(address, IPv6Address) else str(address)


def _choice(value: Choice | str) -> Choice:
    try:
        return value if isinstance(value, Pair | Wildcard) else read_choice(value)
    except InvalidParameter as error:
        raise ValueError(
            "must be a pair of two currencies written BASE/QUOTE, for example BTC/USD, or a wildcard for a whole currency:"
            " */USD, BTC/* or * for all"
        ) from error


def is_admin_key(text: str) -> bool:
    """Whether an operator may choose this text as the key: long enough, and fit for a header."""
    return bool(_ADMIN_KEY.fullmatch(text))


def _admin_key(value: SecretStr | str) -> SecretStr | str:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not text or is_admin_key(text):
        return value
    if len(text) < SHORTEST_ADMIN_KEY:
        rule = f"must have at least {SHORTEST_ADMIN_KEY} characters, because a shorter one may be guessed"
    elif len(text) > LONGEST_ADMIN_KEY:
        rule = f"must have at most {LONGEST_ADMIN_KEY} characters, because proxies refuse longer headers"
    else:
        rule = "must be printable ASCII without blanks, because it is sent in a header"
    raise ValueError(
        f"{rule}; `python -m ltp_service keys create` prints one that fits, and empty means none"
    )


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _one_name(value: object) -> object:
    return "warning" if value == "warn" else value


T = TypeVar("T")
Word = Annotated[T, BeforeValidator(_lower)]
Several = Annotated[
    tuple[T, ...], BeforeValidator(_split), AfterValidator(lambda items: tuple(dict.fromkeys(items)))
]

LogLevel = Word[Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_one_name)]]
EnvironmentName = Word[Annotated[str, _text(ENVIRONMENT_NAME, "a name of a-z, 0-9, _ and -")]]
SupportedPair = Annotated[Pair | Wildcard, PlainValidator(_choice)]
Symbol = Annotated[str, _accept(SYMBOL_RULE, lambda text: text if is_symbol(text) else None)]
PriceSource = Word[Literal["kraken", "coinbase", "bitstamp"]]
CollectorName = Annotated[str, _text("[a-z][a-z0-9_]*", "a collector's name, for example bybit_trades")]
Origin = Annotated[
    str, _text(r"https?://[a-z0-9.-]+(:\d+)?|\*", "an exact origin like https://example.org, or *")
]
BindHost = Annotated[str, _accept("an address, a host name or unix:/path", _bind_host)]
WebSocketUrl = Annotated[str, _url("ws", "wss")]
HttpUrl = Annotated[str, _url("http", "https")]
RedisMaster = Annotated[str, _text(r"[\w.-]+", "the name that the Sentinels watch, for example mymaster")]
RedisUser = Annotated[str, _text(r"[^\s:@/]*", "the name of a user in Redis' ACL, or empty")]
RedisAddress = Annotated[
    str,
    _accept(
        "host:port, redis://host:port or rediss://host:port (a password goes into REDIS_PASSWORD, a number into REDIS_DB)",
        _redis_address,
    ),
]
Rate = Annotated[
    float, _number("0.001 to 1000000 per second, written like 10/s, 600/m or 10", _rate, 0.001, 1e6)
]
Fraction = Annotated[float, _number("a fraction from 0.0001 to 1", _plain, 0.0001, 1.0)]
KeyLife = Annotated[float, seconds("1s", "3650d")]
AdminKey = Annotated[SecretStr, BeforeValidator(_admin_key)]


class HistoryUrl(SecretStr):
    """Where the history is kept. Only `get_secret_value` gives the password of a server; all else masks it."""

    def _display(self) -> str:
        head, _, rest = self._secret_value.partition("://")
        if not rest:
            return self._secret_value
        address = rest.partition("?")[0]
        return f"{head}://{'***@' if '@' in address else ''}{address.rpartition('@')[2]}{'?***' if '?' in rest else ''}"

    @property
    def file(self) -> Path | None:
        """The SQLite file; None for a server, and for no history."""
        kind, _, path = self._secret_value.partition(":")
        return Path(path) if kind == "sqlite" else None


def _history_url(value: SecretStr | str) -> HistoryUrl | None:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    is_file = text.startswith("sqlite:") and Path(text.removeprefix("sqlite:")).name
    is_server = re.fullmatch(r"postgres(ql)?://[^\s?#]+(\?\S*)?", text)
    # libpq reads what is wrong in it, and says so without it.
    return HistoryUrl(text) if not text or (is_file and text == text.strip()) or is_server else None


HistoryAddress = Annotated[
    HistoryUrl,
    _accept("sqlite:path, postgresql://user:password@host:port/database, or empty for none", _history_url),
]
Keeping = Annotated[
    float,
    _number(
        "0 for ever, or 1m to 3650d, written like 90d, 12h or a bare number of seconds",
        lambda text: _duration(text) if _duration(text) == 0 or (_duration(text) or 0) >= 60 else None,
        0.0,
        3650 * 86_400.0,
    ),
]
