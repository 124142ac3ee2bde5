"""What a collector is given, what it speaks, what it must keep to and what it tells of itself."""

from collections.abc import Callable
from threading import Event
from typing import Literal, Protocol

import msgspec

from ltp_service.domain.book import BookSnapshot
from ltp_service.feed.backoff import Backoff
from ltp_service.feed.connection import Connection
from ltp_service.feed.messages import LastTrade, Parsed, Request
from ltp_service.runtime.runtime import Runtime

State = Literal["stopped", "connecting", "connected", "subscribing", "active", "reconnecting", "error"]


class Dialect(Protocol):
    """One exchange's language; pure. A module with these functions is a dialect."""

    def write(self, request: Request, request_id: int) -> str:
        """The text that asks for it."""

    def ping(self, request_id: int) -> str:
        """A question that the exchange answers at once."""

    def parse(self, frame: str) -> Parsed:
        """Raises BadFrame, ValueError, msgspec.MsgspecError or RecursionError for what cannot be used."""


class Terms(msgspec.Struct, frozen=True):
    """What an exchange demands of a connection; None where it demands nothing."""

    ping_every: float | None = None
    """Seconds between own questions."""
    pong_within: float = 10.0
    """Seconds after such a question by which some frame must have come."""
    symbols_per_request: int | None = None
    messages_per_second: int | None = None
    lifetime: float | None = None
    """Seconds after which a connection is replaced at the latest, before the exchange ends it."""
    lifetime_jitter: float = 3600.0
    """Seconds by which it may be replaced earlier, so that not all go at once."""

    @property
    def patience(self) -> float:
        """Seconds for which a connection may be silent because there are no trades."""
        return 0.0 if self.ping_every is None else self.ping_every + self.pong_within


class Newest(msgspec.Struct, frozen=True):
    """What REST says about the last trade of a symbol."""

    trade: LastTrade | None
    """None: there was no trade in the last minute."""
    cached_for: float
    """Most seconds for which the answer may have been in a cache."""


class Equipment(msgspec.Struct, frozen=True):
    """What every collector is given to work with. One object, so that the module of an exchange only passes it on."""

    connect: Callable[[Event], Connection]
    """Raises ExchangeError; with reason `stopped` soon after the event is set."""
    backoff: Backoff
    runtime: Runtime
    idle_timeout: float
    """Seconds without any frame after which a connection is given up."""
    depth: Callable[[str], BookSnapshot] | None = None
    """The present order book of a symbol over REST, for exchanges whose stream has only changes.
    Raises ExchangeError."""
    newest: Callable[[str], Newest] | None = None
    """The newest trade of a symbol over REST, for exchanges whose stream does not begin with it. Raises ExchangeError."""
    advice: str = ""
    """What a person can do without the exchange; told when it cannot be reached. Empty says nothing."""


class Gap(msgspec.Struct, frozen=True):
    """Between these unix seconds trades may be missing; `until` is None while that lasts."""

    since: float
    until: float | None = None
    symbol: str | None = None
    """None: of every symbol."""
    missing: int | None = None
    """How many; None where the exchange's numbering does not tell."""


class Link(msgspec.Struct, frozen=True):
    """What a collector says about itself. Moments are monotonic seconds."""

    name: str
    state: State
    connected: bool
    generation: int
    """Connections made so far."""
    attempts: int
    last_frame_at: float | None
    last_error: str | None
    subscriptions: dict[str, str]
    """Symbol → one word, or the exchange's refusal."""
    problem: str | None = None
    """Why this collector is of no use at present, for people."""
    gaps: tuple[Gap, ...] | None = None
    """When trades may have been missed, oldest first; None for a collector of something else."""
    delay: float = 0.0
    """Seconds by which what arrives is late, as far as this collector tells it."""

    @property
    def as_of(self) -> float | None:
        """The moment whose state of the exchange the last frame tells; None before the first."""
        return None if self.last_frame_at is None else self.last_frame_at - self.delay
