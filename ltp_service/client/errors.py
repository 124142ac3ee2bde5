"""What can keep a client from a price. Each message says the cause and what to do.

PricesError
├── UnknownPair        the service does not serve the pair
├── PriceUnavailable   there is no price now
│   └── PriceStale     there is one, but its evidence is older than the policy allows
├── SomeUnavailable    some of several pairs have no price; the others are in `prices`
├── HistoryUnknown     nothing is known of that moment
├── HistoryGap         trades are missing around that moment; `before` and `after` are the known ones
├── Unreachable        no answer, or none that this client can read
├── RateLimited        the service asks to wait `retry_after` seconds
├── KeyRefused         the service wants another API key
├── NotServed          the service has not this route, or not in the way that it is run
└── Refused            the service cannot read the question
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ltp_service.client.events import Edge, Price


class PricesError(Exception):
    """Base of every error that the client raises on purpose."""


class UnknownPair(PricesError):
    """The service does not serve the pair."""


class PriceUnavailable(PricesError):
    """There is no price now."""


class PriceStale(PriceUnavailable):
    """The newest evidence is older than allowed: by `age` seconds, None where that is not known."""

    def __init__(self, message: str, age: float | None) -> None:
        super().__init__(message)
        self.age = age


class SomeUnavailable(PricesError):
    """`prices` holds the pairs that have a price, `errors` what keeps each other pair from one."""

    def __init__(self, prices: "Mapping[str, Price]", errors: Mapping[str, PricesError]) -> None:
        self.prices, self.errors = dict(prices), dict(errors)
        super().__init__("; ".join(map(str, errors.values())))


class HistoryUnknown(PricesError):
    """The history began later, or its trades of that time were deleted."""


class HistoryGap(PricesError):
    """`before` and `after` are the known trades on both sides; `after` is None while no later one is known."""

    def __init__(self, message: str, before: "Edge | None", after: "Edge | None") -> None:
        super().__init__(message)
        self.before, self.after = before, after


class Unreachable(PricesError):
    """No answer came, or none that this client can read."""


class RateLimited(PricesError):
    """Too many requests; ask again after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class KeyRefused(PricesError):
    """The service wants an API key, or another one."""


class NotServed(PricesError):
    """The service has not this route, or not in the way that it is run."""


class Refused(PricesError):
    """The service cannot read the question."""
