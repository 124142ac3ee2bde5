"""Everything that can go wrong, as one tree.

LtpError
├── ConfigError               the settings are refused (boot)
├── InvalidParameter          the client asked in a way that cannot be read
├── UnknownPair               the client asked for a pair that is not served
├── NotFound                  the client named something that does not exist
├── KeyMissing, KeyInvalid, NotPermitted   the caller may not
├── PreconditionFailed        the answer is not the one that If-Match names
├── RateLimited               the caller asks too often
├── PriceUnavailable          no servable price, and no source gave one
│   └── PriceStale            there is a price, but older than the caller or the service allows
├── StoreUnavailable          Redis or SQLite does not answer
└── ExchangeError             something outside failed
    ├── Unreachable           network, timeout, closed
    ├── Rejected              the exchange refused what we asked
    ├── BadFrame              the exchange sent what cannot be used
    └── BreakerOpen           not asked at all: it failed too often just now

Only http/errors.py knows HTTP statuses.
"""

from collections.abc import Sequence


class LtpError(Exception):
    """Base of every error that this service raises on purpose."""


class ConfigError(LtpError):
    """All problems of the settings at once, one line each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        lines = "".join(f"\n  {problem}" for problem in self.problems)
        super().__init__(f"configuration refused, {len(self.problems)} problem(s):{lines}")


class InvalidParameter(LtpError):
    """A query parameter, header or argument that cannot be read as what it should be."""


class UnknownPair(LtpError):
    """A well-formed pair that is not in SUPPORTED_PAIRS."""


class NotFound(LtpError):
    """A collector, a symbol or a key of that name does not exist."""


class KeyMissing(LtpError):
    """The route needs an API key and none came."""


class KeyInvalid(LtpError):
    """The API key is malformed, unknown, expired or revoked; never says which."""


class NotPermitted(LtpError):
    """The API key is valid but lacks the permission."""


class PreconditionFailed(LtpError):
    """If-Match names no answer that could be given now."""


class RateLimited(LtpError):
    """Too many requests; `retry_after` in seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PriceUnavailable(LtpError):
    """No price can be served, and no source could be asked with success."""


class PriceStale(PriceUnavailable):
    """The known price has no evidence younger than the bound."""


class StoreUnavailable(LtpError):
    """A storage engine (Redis, SQLite) did not answer."""


class ExchangeError(LtpError):
    """An exchange failed us. `reason` is a short fixed word, fit for a metric label."""

    def __init__(self, message: str, *, reason: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after = retry_after


class Unreachable(ExchangeError):
    """Network, name resolution, TLS, timeout or a closed connection: worth another try."""


class Rejected(ExchangeError):
    """The exchange answered and refused; the same question will be refused again."""


class BadFrame(ExchangeError):
    """A message that cannot be used; `reason` says which rule it broke."""


class NoText(BadFrame):
    """A message that is no text in UTF-8."""

    def __init__(self, message: str, *, reason: str, content: bytes) -> None:
        super().__init__(message, reason=reason)
        self.content = content


class BreakerOpen(ExchangeError):
    """The circuit breaker keeps the question back; `retry_after` in seconds."""
