"""A service beside its exchange that says the truth but for one lie; its clock is a test's.

It says the bytes of a stream, answers questions and has the exchange's trades. A lie is a class that changes what would be
said, from the moment LIES_FROM on.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ltp_service.domain.decimals import plain
from ltp_service.domain.trade import Trade
from tests.fakes import NOON

PAIRS = ("BTC/USD", "ETH/USD")

ELSEWHERE = "coinbase:websocket"
"""The source of a substitute."""

LIES_FROM = 15.0
"""Seconds after the beginning from which on it lies."""

HEARTBEAT, TRADES_EVERY = 5.0, 0.5
"""Seconds between two heartbeats, and between two trades, of one pair after the other."""

LIVE_SECONDS = 60.0

FEED, REST = "kraken:websocket", "kraken:rest"

Item = dict[str, Any]
Event = tuple[str, Item]


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: str


class Truth:
    """Says what is true. Each lie overrides one method, which gets what would be said."""

    kind = ""
    """Of the finding."""

    def __init__(self) -> None:
        self.service: LyingService

    @property
    def is_told(self) -> bool:
        """Whether it is time to lie."""
        return self.service.seconds >= self.service.lies_from

    def shown(self, item: Item) -> Item:
        """An item of an answer."""
        return item

    def streamed(self, events: list[Event]) -> list[Event]:
        """What the stream says at one moment."""
        return events

    def answer(self, answer: Answer, *, detail: bool) -> Answer:
        return answer


@dataclass
class Market:
    """The trades of one pair."""

    trades: list[Trade] = field(default_factory=list)
    told: int = 0
    """How many the stream has told."""


class LyingService:
    """Of one market, in which a trade comes every half second."""

    def __init__(
        self,
        clock: Callable[[], float],
        lie: Truth,
        *,
        trades: bool = True,
        skew: float = 0.0,
        lies_from: float = LIES_FROM,
        noon: float = NOON,
    ) -> None:
        """`trades`: whether the market goes on by itself. `skew`: seconds by which the service's wall clock is wrong.
        `noon`: unix seconds of the exchange when the clock shows 0."""
        self._clock, self._began = clock, clock()
        self._lie, self._moves, self.skew = lie, trades, skew
        lie.service, self.lies_from, self._noon = self, lies_from, noon
        self.markets = {pair: Market() for pair in PAIRS}
        self.source = FEED
        self.is_filling = False
        """It has its feed again, and not yet the trades that it missed."""
        self.unpriced = ""
        """The pair that it has no price of."""
        self.delay = 0.0
        """Seconds after which it knows of a trade."""
        self._shown: dict[str, tuple[int, str]] = {}
        """What the stream said last of each pair: trade and state."""
        self._beat_at = self._trade_at = self._began
        for pair in PAIRS:
            self.trade(pair)

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return self._clock() - self._began

    @property
    def exchange_time(self) -> float:
        return self._noon + self._clock()

    # The exchange.

    def trade(self, pair: str, price: str | None = None) -> None:
        """A trade now."""
        self._trade(pair, self.exchange_time, price)

    def crowd(self, pair: str, count: int) -> None:
        """So many trades now, all of one moment."""
        now = self.exchange_time
        for _ in range(count):
            self._trade(pair, now)

    def _trade(self, pair: str, now: float, price: str | None = None) -> None:
        trades = self.markets[pair].trades
        number = 1000 + len(trades)
        price = price or f"{115_643 + len(trades) * 3 % 17 + len(trades)}.{10 + len(trades) % 80}0"
        side = "buy"
        trades.append(Trade("kraken", pair, side, Decimal(price), Decimal("0.25"), now, str(number), now, ""))  # type: ignore[arg-type]

    def go_on(self) -> None:
        """Trades that are due."""
        while self._moves and self._clock() >= self._trade_at + TRADES_EVERY:
            self._trade_at += TRADES_EVERY
            self.trade(PAIRS[round(self._trade_at / TRADES_EVERY) % len(PAIRS)])

    def page(self, pair: str, since: float | None, cache: float = 0.0) -> list[Trade]:
        """What REST tells, from a cache of that many seconds."""
        known = [each for each in self.markets[pair].trades if each.timestamp <= self.exchange_time - cache]
        if since is None:
            return known[-1000:]
        return [each for each in known if each.timestamp >= since][:1000]

    # The service.

    def item(self, pair: str, back: int = 0) -> Item:
        """The last price, or one so many trades before, as detail=true has it."""
        if pair == self.unpriced:
            names = dict.fromkeys(
                ("amount", "price", "source", "traded_at", "confirmed_at", "age_ms", "trade_id")
            )
            return {"pair": pair, "state": "unknown"} | names
        trade = self.known(pair)[-1 - back]
        if self.source == ELSEWHERE:
            return self._elsewhere(pair, trade)
        is_live = self.exchange_time - trade.timestamp <= LIVE_SECONDS
        is_rest = self.source != FEED
        return {
            "pair": pair,
            "amount": plain(trade.price),
            "price": f"{trade.price:f}",
            "state": "fallback" if is_rest else "live" if is_live else "quiet",
            "source": self.source,
            "traded_at": None if is_rest else moment(trade.timestamp),
            "confirmed_at": self.wall(),
            "age_ms": 0,
            "trade_id": self._first_of_price(pair) if is_rest else int(trade.trade_id),
        }

    def _elsewhere(self, pair: str, trade: Trade) -> Item:
        """A price and a trade id that Kraken never had."""
        price = trade.price * Decimal("1.01")
        return {
            "pair": pair,
            "amount": plain(price),
            "price": f"{price:f}",
            "state": "substitute",
            "source": ELSEWHERE,
            "traded_at": moment(trade.timestamp - 3.0),
            "confirmed_at": self.wall(),
            "age_ms": 0,
            "trade_id": 99,
        }

    def known(self, pair: str) -> list[Trade]:
        """The trades that it knows of."""
        trades = self.markets[pair].trades
        return [each for each in trades if each.timestamp <= self.exchange_time - self.delay] or trades[:1]

    def _first_of_price(self, pair: str) -> int:
        """REST confirms the price that the feed told; a later trade at the same price has another id."""
        *before, last = self.known(pair)
        for each in reversed(before):
            if each.price != last.price:
                break
            last = each
        return int(last.trade_id)

    def wall(self, ago: float = 0.0) -> str:
        """The service's clock."""
        return moment(self.exchange_time + self.skew - ago)

    def hello(self, last_id: str = "", *, knows: bool = True) -> bytes:
        """The beginning of a stream."""
        names = {"version": "x", "server_time": self.wall(), "heartbeat_s": 5, "pairs": PAIRS}
        events: list[Event] = [("hello", names | {"resumed": bool(last_id) and knows})]
        for pair, market in self.markets.items():
            if last_id and not knows:
                before = 1000 + len(market.trades) - 1 if pair == PAIRS[0] else None
                events.append(("gap", _gap(pair, 1000 + market.told - 1, before)))
            if not (last_id and knows):
                market.told = len(market.trades) - 1  # another worker may be a trade behind
        self._beat_at = self._clock()
        self._shown.clear()
        return self._bytes([*events, *self._prices()])

    def stream(self) -> bytes:
        """What is new."""
        events: list[Event] = []
        for pair, market in self.markets.items():
            if self.source == FEED and not self.is_filling:
                known = self.known(pair)
                events += [("trade", _told(pair, trade)) for trade in known[market.told :]]
                market.told = max(market.told, len(known))
        events += self._prices()
        if self._clock() >= self._beat_at + HEARTBEAT:
            self._beat_at += HEARTBEAT
            ages = dict.fromkeys(PAIRS, 0)
            beat = {"server_time": self.wall(), "states": {}, "evidence_age_ms": ages}
            events.append(("heartbeat", beat))
        return self._bytes(self._lie.streamed(events))

    def _prices(self) -> list[Event]:
        found: list[Event] = []
        for pair in self.markets:
            item = self.item(pair)
            now = len(self.known(pair)), item["state"]
            if self._shown.get(pair) != now:
                self._shown[pair] = now
                found.append(("price", item))
        return found

    def _bytes(self, events: list[Event]) -> bytes:
        place = sum(market.told for market in self.markets.values())
        return "".join(
            f"id: {place}\nevent: {name}\ndata: {_json(data)}\n\n" for name, data in events
        ).encode()

    def answer(self, *, detail: bool, etag: str = "") -> Answer:
        """To a question with that ETag in If-None-Match."""
        items = [self._lie.shown(self.item(pair)) for pair in PAIRS if pair != self.unpriced]
        shown = [each if detail else {name: each[name] for name in ("pair", "amount")} for each in items]
        errors = {"errors": [{"pair": self.unpriced, "code": "PRICE_FETCH_ERROR"}]} if self.unpriced else {}
        body = _json({"ltp": shown} | errors)
        headers = {"cache-control": f"public, max-age={0 if detail else 1}", "etag": f'"{hash(body)}"'}
        if self.source == ELSEWHERE:
            headers["x-price-source"] = ", ".join(f"{pair}={ELSEWHERE}" for pair in PAIRS)
        answer = self._lie.answer(Answer(206 if errors else 200, headers, body), detail=detail)
        if etag and answer.headers["etag"] == etag:
            return Answer(304, answer.headers, "")
        return answer


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _told(pair: str, trade: Trade) -> Item:
    return {
        "pair": pair,
        "price": f"{trade.price:f}",
        "quantity": f"{trade.quantity:f}",
        "side": trade.side,
        "traded_at": moment(trade.timestamp),
        "trade_id": int(trade.trade_id),
    }


def _gap(pair: str, after: int, before: int | None) -> Item:
    return {"pair": pair, "after_trade_id": after, "before_trade_id": before, "from": None, "to": None}


def _json(data: Any) -> str:
    return re.sub(r'"amount": "([^"]*)"', r'"amount": \1', json.dumps(data))


class AnsweredOnly(Truth):
    """A lie of answers that is a change of each item."""

    def shown(self, item: Item) -> Item:
        return item | self.changes(item) if self.is_told else item

    def changes(self, item: Item) -> Item:
        return {}


class StreamedOnce(Truth):
    """A lie of the stream about the first event of a name."""

    name = "trade"
    is_done = False

    def streamed(self, events: list[Event]) -> list[Event]:
        for place, (name, data) in enumerate(events):
            if self.is_told and not self.is_done and name == self.name:
                self.is_done = True
                return [*events[:place], *self.instead(data), *events[place + 1 :]]
        return events

    def instead(self, data: Item) -> list[Event]:
        return []


class PriceOfNoTrade(StreamedOnce):
    kind, name = "invented", "price"

    def instead(self, data: Item) -> list[Event]:
        return [("price", data | {"amount": "99.5", "price": "99.50", "trade_id": None})]


class IdOfNoTrade(AnsweredOnly):
    kind = "invented"

    def changes(self, item: Item) -> Item:
        return {"trade_id": item["trade_id"] + 5000}


class ZeroForAnError(AnsweredOnly):
    kind = "sentinel"

    def changes(self, item: Item) -> Item:
        return {"amount": "0", "price": "0"}


class OneForAnError(AnsweredOnly):
    kind = "sentinel"

    def changes(self, item: Item) -> Item:
        return {"amount": "1", "price": "1", "trade_id": None}


class RoundedPrice(AnsweredOnly):
    kind = "digits"

    def changes(self, item: Item) -> Item:
        rounded = str(round(Decimal(item["price"])))
        return {"amount": rounded, "price": rounded}


class AmountUnlikePrice(StreamedOnce):
    kind, name = "digits", "price"

    def instead(self, data: Item) -> list[Event]:
        return [("price", data | {"amount": data["amount"] + "00000001"})]


class OtherQuantity(StreamedOnce):
    kind = "digits"

    def instead(self, data: Item) -> list[Event]:
        return [("trade", data | {"quantity": "0.24999999"})]


class PriceOfAnotherTrade(AnsweredOnly):
    kind = "wrong-id"

    def changes(self, item: Item) -> Item:
        return {"trade_id": item["trade_id"] - 1}


class TradeAtThePriceOfAnother(StreamedOnce):
    kind = "wrong-id"

    def instead(self, data: Item) -> list[Event]:
        return [("trade", data | {"price": self.service.item(data["pair"], 1)["price"]})]


class OtherTime(AnsweredOnly):
    kind = "wrong-time"

    def changes(self, item: Item) -> Item:
        return {"traded_at": self.service.wall(0.123)}


class OtherTimeOfATrade(StreamedOnce):
    kind = "wrong-time"

    def instead(self, data: Item) -> list[Event]:
        return [("trade", data | {"traded_at": self.service.wall(0.123)})]


class OlderPriceInTheStream(StreamedOnce):
    kind, name = "backwards", "price"

    def instead(self, data: Item) -> list[Event]:
        older = self.service.item(data["pair"], 1) | {"age_ms": 1000, "confirmed_at": self.service.wall(1.0)}
        return [("price", data), ("price", older)]


class OlderPriceInAnswers(AnsweredOnly):
    kind = "backwards"

    def changes(self, item: Item) -> Item:
        if self.service.seconds > LIES_FROM + 1:
            return {}
        return self.service.item(item["pair"], 3) | {"age_ms": 3500, "confirmed_at": self.service.wall(3.5)}


class FrozenAnswers(AnsweredOnly):
    """A price that stays, as of now."""

    kind = "replaced"

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, Item] = {}

    def changes(self, item: Item) -> Item:
        kept = self.kept.setdefault(item["pair"], item)
        return kept | {"confirmed_at": item["confirmed_at"]}


class YoungConfirmedAt(FrozenAnswers):
    """The age is right, and the time of the evidence is not."""

    def changes(self, item: Item) -> Item:
        age = 1000 * (self.service.seconds - LIES_FROM)
        return super().changes(item) | {"age_ms": round(age) + 1000}


class HeartbeatsForAFrozenStream(Truth):
    kind = "replaced"

    def streamed(self, events: list[Event]) -> list[Event]:
        return [each for each in events if not (self.is_told and each[0] == "price")]


class TradeLeftOut(StreamedOnce):
    kind = "missing"


class TradesThatEnd(Truth):
    kind = "missing"

    def streamed(self, events: list[Event]) -> list[Event]:
        return [each for each in events if not (self.is_told and each[0] == "trade")]


class TradeToldTwice(StreamedOnce):
    kind = "twice"

    def instead(self, data: Item) -> list[Event]:
        return [("trade", data), ("trade", data)]


class TradesInWrongOrder(Truth):
    kind = "out-of-order"

    def __init__(self) -> None:
        super().__init__()
        self.held: list[Event] | None = None

    def streamed(self, events: list[Event]) -> list[Event]:
        trades = [each for each in events if each[0] == "trade" and each[1]["pair"] == PAIRS[0]]
        if not (self.is_told and trades):
            return events
        if self.held is None:
            self.held = trades
            return [each for each in events if each not in trades]
        released, self.held = self.held, []
        return [*events, *released]


class GapOfToldTrades(StreamedOnce):
    kind = "gap-told"

    def instead(self, data: Item) -> list[Event]:
        number = data["trade_id"]
        return [("gap", _gap(data["pair"], number - 3, number)), ("trade", data)]


class GapBeforeItsTrade(StreamedOnce):
    kind = "gap-told"

    def instead(self, data: Item) -> list[Event]:
        number = data["trade_id"]
        return [("gap", _gap(data["pair"], number - 1, number + 1)), ("trade", data)]


class LateTrades(Truth):
    kind = "late"

    def __init__(self) -> None:
        super().__init__()
        self.held: list[Event] = []

    def streamed(self, events: list[Event]) -> list[Event]:
        if self.is_told and self.service.seconds < LIES_FROM + 15.0:
            self.held += [each for each in events if each[0] == "trade"]
            return [each for each in events if each[0] != "trade"]
        released, self.held = self.held, []
        return [*released, *events]


class LateHeartbeat(StreamedOnce):
    kind, name = "heartbeat", "heartbeat"


class OtherStateInAnswers(AnsweredOnly):
    kind = "disagree"

    def changes(self, item: Item) -> Item:
        return {"state": "halted"}


class NotModifiedForEver(Truth):
    kind = "hidden"

    def answer(self, answer: Answer, *, detail: bool) -> Answer:
        if detail:
            return answer
        if self.is_told:
            return Answer(304, {"etag": self.etag}, "")
        self.etag = answer.headers["etag"]
        return answer

    etag = ""


class SameEtag(Truth):
    kind = "hidden"

    def answer(self, answer: Answer, *, detail: bool) -> Answer:
        if self.is_told and not detail:
            answer.headers["etag"] = '"same"'
        return answer


class LongCache(Truth):
    kind = "cacheable"

    def answer(self, answer: Answer, *, detail: bool) -> Answer:
        if self.is_told:
            answer.headers["cache-control"] = "public, max-age=60"
        return answer


class OkWithoutPrice(Truth):
    kind = "no-price"

    def answer(self, answer: Answer, *, detail: bool) -> Answer:
        if self.is_told and not detail:
            answer.body = '{"ltp": []}'
        return answer


class NullForAPrice(AnsweredOnly):
    kind = "no-price"

    def changes(self, item: Item) -> Item:
        return {"amount": None, "price": None}


class StaleAsAPrice(AnsweredOnly):
    kind = "stale-served"

    def changes(self, item: Item) -> Item:
        return {"state": "stale"}


class SubstituteOfKrakens(AnsweredOnly):
    kind = "unnamed"

    def changes(self, item: Item) -> Item:
        return {"state": "substitute"}


class PageForJson(Truth):
    kind = "unreadable"

    def answer(self, answer: Answer, *, detail: bool) -> Answer:
        if self.is_told:
            answer.body = "<html>"
        return answer


class SlowStream(Truth):
    """No lie: each price is told two seconds after its trade, and is as old as it says."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[tuple[float, Item]] = []

    def streamed(self, events: list[Event]) -> list[Event]:
        now = self.service.seconds
        self.held += [(now + 2.0, data | {"age_ms": 2000}) for name, data in events if name == "price"]
        due: list[Event] = [("price", data) for at, data in self.held if at <= now]
        self.held = [(at, data) for at, data in self.held if at > now]
        return [*due, *(each for each in events if each[0] != "price")]


class CachedAnswers(Truth):
    """No lie: a cache keeps each answer without detail, for less than two questions."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Answer] = []

    def answer(self, answer: Answer, *, detail: bool) -> Answer:
        if detail:
            return answer
        self.kept = [*self.kept[-2:], answer]
        return self.kept[0]


def _below(kind: type[Truth]) -> list[type[Truth]]:
    return [each for child in kind.__subclasses__() for each in (child, *_below(child))]


LIES = [each for each in _below(Truth) if each.kind]
"""Every lie."""
