"""One connection of a feed: everything is subscribed to, until each subscription has shown what it does."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from threading import Event
from typing import NamedTuple

from ltp_service.cli.checks import clock
from ltp_service.cli.checks.finding import ClockReading, Finding, named, ok, warning, wrong
from ltp_service.domain.book import BookChange, BookSnapshot
from ltp_service.domain.errors import ExchangeError
from ltp_service.domain.market import MarketStatus
from ltp_service.feed.backoff import Backoff
from ltp_service.feed.connection import WebSocketConnection
from ltp_service.feed.contract import Dialect, Equipment, Terms
from ltp_service.feed.dialing import Dialer
from ltp_service.feed.loop import Collector
from ltp_service.feed.messages import Acknowledged, LastTrade, LastTradeId, MarketChanged, PairsListed, Traded
from ltp_service.feed.subscriptions import Proof, Subscription, Subscriptions
from ltp_service.runtime.clock import Clock
from ltp_service.runtime.runtime import Runtime

FRAMES_SECONDS = 8.0
"""Seconds for the first frames: Kraken sends them within one."""

LOOK_EVERY_SECONDS = 0.05
"""Seconds of one read at most."""


class Feed(NamedTuple):
    """What is expected of one exchange's feed."""

    subject: str
    """The first word of the names of its checks."""
    url: str
    dialect: Dialect
    channels: Sequence[str]
    symbols: Sequence[str]
    terms: Terms
    proof: Proof
    tells_at_once: Collection[str]
    """The channels that send the present state on subscription. The others are silent until something happens."""
    essential: bool
    """Whether prices need it."""
    may_lack_symbols: bool = False
    """Whether nothing is wrong where the exchange has no market of a symbol."""


class Heard(NamedTuple):
    """What one connection showed."""

    states: Mapping[str, Subscription]
    """By symbol."""
    told: Collection[tuple[str, str]]
    """Channel and symbol of all that sent data."""
    frames: int
    """How many frames came, of any kind."""
    seconds: float
    """Seconds until all subscriptions had told something, or until the time was over."""
    market: MarketStatus | None = None
    """Whether the exchange matches orders; None where it did not say."""
    unusable: str = ""
    """Why the first unusable frame was unusable."""
    failure: str = ""
    """Why the connection ended, where it did not last."""


class Rehearsal(Collector):
    """A collector that keeps nothing, for one connection."""

    def __init__(self, feed: Feed, dialer: Dialer, clock: Clock) -> None:
        self.name, self.terms = feed.subject, feed.terms
        self.names_refusals = not feed.may_lack_symbols
        self._feed = feed
        runtime = Runtime(clock)
        connect = partial(WebSocketConnection, dialer, poll_interval=LOOK_EVERY_SECONDS)
        equipment = Equipment(connect, Backoff(1.0, 1, runtime), runtime, idle_timeout=2 * FRAMES_SECONDS)
        super().__init__(
            feed.dialect,
            Subscriptions(feed.symbols, feed.channels, feed.proof),
            equipment,
            {
                LastTrade: self._traded,
                LastTradeId: lambda told, _: self._note(feed.channels[-1], told.symbol),
                Traded: self._heard_of,
                BookSnapshot: self._heard_of,
                BookChange: self._heard_of,
                MarketChanged: self._market_changed,
                PairsListed: lambda *_: None,
            },
        )
        self.is_open = False
        self.opened_after = 0.0
        """Seconds."""
        self.reading: ClockReading | None = None
        self._began_at = self._clock.monotonic()
        self._asked_at = 0.0
        """Unix seconds of this machine's clock."""
        self._told: set[tuple[str, str]] = set()
        self._market: MarketStatus | None = None
        self._unusable = ""
        self._frames = 0

    def listen(self, stop: Event) -> Heard:
        """Returns what was heard, with a failure after the connection. Raises ExchangeError when there is no connection."""
        failure = ""
        try:
            self._read(self._open(stop), stop)
        except ExchangeError as error:
            if not self.is_open:
                raise
            failure = str(error).removeprefix(self._feed.url).lstrip(": ").rstrip(".")
        finally:
            states = dict(self._subscriptions.states)
            seconds = self._clock.monotonic() - self._opened_at
            self._close()
        return Heard(states, self._told, self._frames, seconds, self._market, self._unusable, failure)

    def connected(self, now: float) -> None:
        self.is_open, self.opened_after = True, now - self._began_at
        self._asked_at = self._clock.wall()

    def tended(self, now: float) -> None:
        if now - self._opened_at >= FRAMES_SECONDS or self._is_complete():
            self.leave()

    def _is_complete(self) -> bool:
        return all(
            state.refusal is not None or not any(missing(self._feed, symbol, state, self._told))
            for symbol, state in self._subscriptions.states.items()
        )

    def _digest(self, frames: Sequence[str], now: float) -> None:
        self._frames += len(frames)
        super()._digest(frames, now)

    def _traded(self, trade: LastTrade, _: float) -> None:
        channel = "ticker" if trade.traded_at is None else "trade"
        self._note(channel if channel in self._feed.channels else self._feed.channels[0], trade.symbol)

    def _heard_of(self, event: Traded | BookSnapshot | BookChange, _: float) -> None:
        self._note(self._feed.channels[0], event.symbol)

    def _note(self, channel: str, symbol: str) -> None:
        self._told.add((channel, symbol))
        self._subscriptions.hear(symbol)

    def _market_changed(self, change: MarketChanged, _: float) -> None:
        self._market = change.status

    def _acknowledged(self, accepted: Acknowledged, now: float) -> None:
        super()._acknowledged(accepted, now)
        if accepted.exchange_time is not None and self.reading is None:
            source = f"the time in an answer of {self._feed.subject}"
            self.reading = clock.compare(source, accepted.exchange_time, self._asked_at, self._clock.wall())

    def _reject_frame(self, reason: str, cause: object) -> None:
        self._unusable = self._unusable or f"{reason}: {str(cause)[:120]}"


def missing(
    feed: Feed, symbol: str, state: Subscription, told: Collection[tuple[str, str]]
) -> tuple[list[str], list[str]]:
    """The channels whose subscription was not answered, and those that were accepted and should have told something."""
    if feed.proof == "either" and (state.acknowledged or state.in_step):
        unanswered = []
    else:
        unanswered = [channel for channel in feed.channels if channel not in state.acknowledged]
    silent = [
        channel
        for channel in feed.tells_at_once
        if channel not in unanswered and (channel, symbol) not in told
    ]
    return unanswered, silent


def judge(feed: Feed, heard: Heard) -> list[Finding]:
    """One line for each fault, or a single line when there is none."""
    return [*_problems(feed, heard)] or [ok(_check(feed), _all_right(feed, heard))]


def _check(feed: Feed) -> str:
    return f"{feed.subject}: subscriptions"


def _all_right(feed: Feed, heard: Heard) -> str:
    number = len(feed.channels) * len(feed.symbols)
    told = (
        f"{len(heard.told)} of them have told something" if heard.told else "nothing has happened on them yet"
    )
    return f"{number} accepted within {heard.seconds:.1f} s, {told}"


def _problems(feed: Feed, heard: Heard) -> Iterator[Finding]:
    check = _check(feed)
    if heard.failure:
        remedy = (
            "it is made again by itself; when it happens each time, look for what ends connections on the way"
        )
        yield wrong(check, f"the connection ended: {heard.failure}", remedy, essential=feed.essential)
    elif not heard.frames and not heard.unusable:
        remedy = (
            "a firewall or proxy may drop what the exchange sends; try without it, or from another network"
        )
        seen = f"no frame came within {heard.seconds:.0f} s"
        yield wrong(check, seen, remedy, essential=feed.essential)
        return
    yield from _refused(feed, heard)
    if not heard.failure:
        yield from _unproven(feed, heard)
    if heard.market is not None and heard.market != "online":
        remedy = "nothing is wrong here: see the exchange's status page"
        yield warning(check, f"the exchange matches no orders now ({heard.market})", remedy)
    if heard.unusable:
        remedy = "the exchange has changed its format, or something on the way spoils the data; report it with this text"
        yield warning(check, f"a frame cannot be used ({heard.unusable})", remedy)


def _refused(feed: Feed, heard: Heard) -> Iterator[Finding]:
    words: dict[str, list[str]] = {}
    for symbol, state in heard.states.items():
        if state.refusal is not None:
            words.setdefault(state.refusal.replace(symbol, "…"), []).append(symbol)
    setting = "SUPPORTED_PAIRS" if feed.subject.startswith("kraken") else "SYMBOLS"
    remedy = f"correct its name in {setting}, or take it out"
    for message, symbols in words.items():
        seen = f"{named(symbols)} refused: {message.rstrip(' …')}"
        if feed.may_lack_symbols:
            yield ok(_check(feed), seen)
            continue
        yield wrong(_check(feed), seen, remedy, essential=feed.essential)


def _unproven(feed: Feed, heard: Heard) -> Iterator[Finding]:
    unanswered: list[str] = []
    silent: dict[tuple[str, ...], list[str]] = {}
    for symbol, state in heard.states.items():
        if state.refusal is not None:
            continue
        unasked, mute = missing(feed, symbol, state, heard.told)
        if unasked:
            unanswered.append(symbol)
        if mute:
            silent.setdefault(tuple(sorted(mute)), []).append(symbol)
    remedy = "it is asked again by itself, and prices come from REST meanwhile; when it stays so, see the exchange's status page"
    if unanswered:
        seen = f"no answer to the subscription of {named(unanswered)} within {heard.seconds:.0f} s"
        yield wrong(_check(feed), seen, remedy, essential=feed.essential)
    for channels, symbols in silent.items():
        seen = f"{named(symbols)} accepted and silent for {heard.seconds:.0f} s on {' and '.join(channels)}"
        all_silent = len(channels) == len(feed.tells_at_once)
        yield wrong(_check(feed), seen, remedy, essential=feed.essential and all_silent)
