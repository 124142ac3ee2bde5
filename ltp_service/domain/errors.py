"""The service's errors, as one tree.

LtpError
├── ConfigError               the settings are refused (boot)
├── InvalidParameter          a parameter or header of the request cannot be read
├── UnknownPair               the client asked for a pair that is not served
├── NotFound                  the client named something that does not exist
├── KeyMissing, KeyInvalid, NotPermitted   the caller lacks the permission
├── PreconditionFailed        the answer is not the one that If-Match names
├── RateLimited               the caller asks too often
├── TooManyStreamsOfClient    the caller has as many streams open as it may
├── TooManyStreams            this worker has as many streams open as it may
├── NotSupported              this process cannot do that as it is configured
├── PriceUnavailable          there is no price to serve, and no source gave one
│   └── PriceStale            there is a price, but older than the caller or the service allows
├── SomeUnavailable           some of several pairs have no price; in last_prices/errors.py, as only programs get it
├── HistoryElsewhere          the history is kept where this process cannot read it
├── StoreUnavailable          Redis or SQLite does not answer
│   └── HistoryUnavailable    the history's database does not answer
└── ExchangeError             an exchange or the way to it failed
    ├── Unreachable           network, timeout, closed
    ├── Rejected              the exchange refused what we asked
    │   └── Unlisted          because it has no market of that symbol
    ├── BadFrame              the exchange sent a message that cannot be used
    └── BreakerOpen           not asked, because it failed too often just now

Only http/errors.py maps them to HTTP statuses.
"""

from collections.abc import Sequence


class LtpError(Exception):
    """Base of every error that this service raises on purpose."""


class ConfigError(LtpError):
    """All problems of the settings, one line each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        lines = "".join(f"\n  {problem}" for problem in self.problems)
        super().__init__(f"configuration refused, {len(self.problems)} problem(s):{lines}")


class InvalidParameter(LtpError):
    """A query parameter, header or argument has no valid value."""


class UnknownPair(LtpError):
    """A well-formed pair that is not in SUPPORTED_PAIRS."""


class NotFound(LtpError):
    """A collector, a symbol or a key of that name does not exist."""


class KeyMissing(LtpError):
    """The route needs an API key and none came."""


class KeyInvalid(LtpError):
    """The API key is malformed, unknown, expired or revoked; the message does not say which."""


class NotPermitted(LtpError):
    """The API key is valid but lacks the permission."""


class PreconditionFailed(LtpError):
    """If-Match does not name the present answer."""


class RateLimited(LtpError):
    """Too many requests; `retry_after` in seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooManyStreamsOfClient(RateLimited):
    """The client's address has too many streams open; `retry_after` in seconds."""


class TooManyStreams(LtpError):
    """Too many streams are open in this worker; `retry_after` in seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotSupported(LtpError):
    """The settings of this process leave out what was asked."""


class PriceUnavailable(LtpError):
    """There is no price to serve, and no source gave one."""


class PriceStale(PriceUnavailable):
    """The newest evidence for the known price is older than the bound."""


class HistoryElsewhere(LtpError):
    """The history is written to a file of another machine."""


class StoreUnavailable(LtpError):
    """A storage engine (Redis, SQLite) did not answer."""


class HistoryUnavailable(StoreUnavailable):
    """The history's database did not answer. Prices do not need it."""


class ExchangeError(LtpError):
    """An exchange failed. `reason` is a short fixed word, fit for a metric label; `retry_after` is in seconds."""

    def __init__(self, message: str, *, reason: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after = retry_after


class Unreachable(ExchangeError):
    """Network, name resolution, TLS, timeout or a closed connection: worth another try."""


class Rejected(ExchangeError):
    """The exchange answered and refused; the same question will be refused again."""


class Unlisted(Rejected):
    """The exchange has no market of that symbol."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="unlisted")


class BadFrame(ExchangeError):
    """A message that cannot be used; `reason` says which rule it broke."""


class NoText(BadFrame):
    """A message is not UTF-8 text; `content` holds its bytes."""

    def __init__(self, message: str, *, reason: str, content: bytes) -> None:
        super().__init__(message, reason=reason)
        self.content = content


class BreakerOpen(ExchangeError):
    """The circuit breaker refused the call; `retry_after` in seconds."""
