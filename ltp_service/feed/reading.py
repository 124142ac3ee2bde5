"""What an exchange says: each frame is understood, counted and passed on."""

import logging
from collections import Counter

import msgspec

from ltp_service.domain.book import BookChange, BookSnapshot
from ltp_service.domain.errors import BadFrame
from ltp_service.feed.contract import Dialect
from ltp_service.feed.hooks import Hooks
from ltp_service.feed.messages import (
    Acknowledged,
    Answered,
    Ended,
    Invalid,
    LastTrade,
    Leaving,
    MarketChanged,
    PairsListed,
    Parsed,
    Refused,
    Request,
    Skipped,
    Traded,
)
from ltp_service.feed.requests import Asking
from ltp_service.feed.subscriptions import Subscriptions
from ltp_service.runtime.clock import Clock
from ltp_service.runtime.observer import Observer

log = logging.getLogger(__name__)


class Reading:
    """Tells a collector what arrived, and its subscriptions what came of them."""

    def __init__(
        self,
        collector: Hooks,
        dialect: Dialect,
        subscriptions: Subscriptions,
        asking: Asking,
        clock: Clock,
        observer: Observer,
    ) -> None:
        self._collector = collector
        self._dialect = dialect
        self._subscriptions = subscriptions
        self._asking = asking
        self._clock = clock
        self._observer = observer
        self._counted: Counter[str] = Counter()

    def digest(self, frame: str, now: float) -> None:
        """One frame that arrived at `now`; never raises for what is in it."""
        try:
            parsed = self._dialect.parse(frame)
        except BadFrame as error:
            self.refuse(error.reason, error)
            self._collector.unreadable(frame, now)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            self.refuse("malformed", error)
            self._collector.unreadable(frame, now)
        else:
            self._counted[parsed.kind] += 1
            self._follow(parsed, now)

    def skip(self, frames: int) -> None:
        """So many frames are not read, because later ones say what is in them."""
        if frames:
            self._counted["superseded"] += frames

    def _follow(self, parsed: Parsed, now: float) -> None:
        for event in parsed.events:
            try:
                if type(event) is LastTrade:
                    self._collector.take(event, now)
                else:
                    self._learn(event, now)
            except BadFrame as error:
                self.refuse(error.reason, error)
                if type(event) is LastTrade:
                    self._collector.contradicted(event.symbol, now)

    def _learn(self, event: object, now: float) -> None:
        match event:
            case Traded():
                self._collector.traded(event, now)
            case BookChange():
                self._collector.book_changed(event, now)
            case BookSnapshot():
                self._collector.book_replaced(event, now)
            case MarketChanged():
                self._collector.market_changed(event)
            case PairsListed():
                self._collector.pairs_listed(event, now)
            case _:
                self._note(event, now)

    def _note(self, event: object, now: float) -> None:
        match event:
            case Acknowledged():
                self._subscriptions.acknowledge(event.channel, event.symbol, now)
                self._collector.acknowledged(event, now)
            case Answered():
                self._answered(event, now)
            case Refused():
                self._refused(event, now)
            case Ended():
                self._subscriptions.lose(event.channel, event.symbol, now)
            case Invalid():
                self._disbelieve(event, now)
            case Skipped():
                self._counted[event.kind] += 1
            case Leaving():
                self._collector.leave()

    def _disbelieve(self, value: Invalid, now: float) -> None:
        self.refuse(value.reason, value.message)
        if value.symbol is not None:
            self._collector.contradicted(value.symbol, now)

    def _answered(self, answer: Answered, now: float) -> None:
        request = self._asking.answered(answer.request_id)
        if answer.error is not None:
            self._refused_request(request, answer.error, now)
        elif request is not None and request.verb == "subscribe":
            for symbol in request.symbols:
                self._subscriptions.acknowledge(request.channel, symbol, now)

    def _refused_request(self, request: Request | None, message: str, now: float) -> None:
        if request is None or request.verb == "unsubscribe":
            self._refused(Refused(message), now)
        elif len(request.symbols) == 1:
            self._refused(Refused(message, request.channel, request.symbols[0]), now)
        else:  # one of them is to blame, and the answer does not say which
            self._asking.one_by_one(request)

    def _refused(self, refusal: Refused, now: float) -> None:
        self._collector.complain(refusal.message)
        if refusal.symbol is not None:
            self._subscriptions.refuse(refusal.channel, refusal.symbol, refusal.message, now)
        log.warning(
            "%s refused a request: %s",
            self._collector.name,
            refusal.message,
            extra={"once_a_minute": (self._collector.name, "refused", refusal.symbol)},
        )

    def refuse(self, reason: str, cause: object) -> None:
        """Something that arrived cannot be used."""
        self._collector.wasted(self._clock.monotonic())
        self._observer.frame_refused(self._collector.name, reason)
        log.warning(
            "%s: frame not used (%s): %s",
            self._collector.name,
            reason,
            str(cause)[:200],
            extra={"once_a_minute": (self._collector.name, "frame", reason)},
        )

    def report(self) -> None:
        """Tells the observer what was counted since the last time."""
        for kind, count in self._counted.items():
            self._observer.frames_received(self._collector.name, kind, count)
        self._counted.clear()
