"""Reads what a service says, and has each part judged; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Any, NamedTuple

from ltp_service.cli.verifying.answers import AnswerJudge
from ltp_service.cli.verifying.prices import PriceJudge
from ltp_service.cli.verifying.promises import NO_PRICE, PromiseJudge
from ltp_service.cli.verifying.said import By, Finding, Limits, Said, number, text, unix, whole
from ltp_service.cli.verifying.tape import Tape
from ltp_service.cli.verifying.trades import TradeJudge
from ltp_service.client.policy import read_gap, read_trade
from ltp_service.domain.trade import Trade

FED = frozenset({"live", "quiet", "halted"})
"""States of a pair that the service's feed tells."""

SUBSTITUTE = "substitute"
"""The state of a price that is another exchange's, so that Kraken's trades say nothing about it."""


class Book(NamedTuple):
    """The judges of one pair, and its trades."""

    tape: Tape
    prices: PriceJudge
    trades: TradeJudge


class Judge:
    """Judges a service while it is listened to. `take` returns what was found since the last time."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._found: list[Finding] = []
        self._promises = PromiseJudge(limits, self._found.append)
        self._answers = AnswerJudge(self._found.append)
        self._ahead = -inf
        self._server_ahead: float | None = None
        """The upper bound of the seconds to add to a monotonic moment for the service's wall clock."""
        self._items: dict[str, Said] = {}
        """What the stream said last of each pair that has a price."""
        self._line = 0
        self._is_greeted = False
        self.books: dict[str, Book] = {}
        """By pair; empty before the first hello."""

    def take(self) -> list[Finding]:
        found = self._found.copy()
        self._found.clear()
        return found

    # The stream.

    def opened(self) -> None:
        """The service has answered with a stream."""
        self._line += 1
        self._is_greeted = False

    def closed(self) -> None:
        """The stream has ended."""
        self._is_greeted = False
        self._promises.end()

    def heard(self, since: float) -> None:
        """Judges up to `since`, after all events up to that moment were given to `event`."""
        if self._is_greeted:
            self._promises.hear(since)
            for book in self.books.values():
                book.trades.hear(since)

    def event(self, name: str, data: Any, since: float, at: float) -> None:
        """One event of the stream with its JSON; data that is no object is a finding."""
        if not isinstance(data, dict) or not (name == "hello" or self._is_greeted):
            self._unreadable(at, f"event {name}", "an object, and hello first")
            return
        try:
            self._read(name, data, since, at)
        except (ValueError, TypeError) as error:
            self._unreadable(at, f"event {name}: {error}", "an event as in docs/streams.md")

    def _read(self, name: str, data: Mapping[str, Any], since: float, at: float) -> None:
        match name:
            case "hello":
                self._hello(data, since, at)
            case "price":
                self._price(data, since, at)
            case "trade":
                trade = read_trade(data)
                self._book(trade.pair).trades.tell(trade, since, at)
            case "gap":
                gap = read_gap(data)
                self._book(gap.pair).trades.lose(gap, at)
            case "heartbeat":
                self._heartbeat(data, since, at)

    def _book(self, pair: str) -> Book:
        """Raises ValueError for a pair that hello did not name."""
        if pair not in self.books:
            raise ValueError(f"{pair} is not in hello")
        return self.books[pair]

    def _hello(self, data: Mapping[str, Any], since: float, at: float) -> None:
        pairs = data.get("pairs")
        if not isinstance(pairs, list):
            raise ValueError("hello names no pairs")
        self._is_greeted = True
        self._learn_clock(data, since)
        self._promises.begin(at)
        for pair in map(str, pairs):
            if pair not in self.books:
                tape = Tape()
                report = self._found.append
                self.books[pair] = Book(
                    tape,
                    PriceJudge(self._limits, tape, report),
                    TradeJudge(pair, self._limits, tape, report),
                )
            self.books[pair].trades.begin(at, resumed=data.get("resumed") is True)

    def _learn_clock(self, data: Mapping[str, Any], since: float) -> None:
        server_time = unix(data.get("server_time"))
        if server_time is not None:
            self._server_ahead = server_time - since

    def _price(self, data: Mapping[str, Any], since: float, at: float) -> None:
        pair, state = text(data, "pair") or "", text(data, "state") or ""
        book = self._book(pair)
        self._promises.tell(pair, state, since, at)
        book.trades.feed(at, is_fed=state in FED)
        self._items.pop(pair, None)
        if data.get("amount") is None and state in NO_PRICE:
            return
        said = self._said("stream", data, since, at)
        if said is not None and state != SUBSTITUTE:
            self._items[pair] = said
            book.prices.say(said)

    def _heartbeat(self, data: Mapping[str, Any], since: float, at: float) -> None:
        """A heartbeat confirms all prices that were told before it, with the age that it names."""
        self._learn_clock(data, since)
        self._promises.beat(since, at)
        ages = data.get("evidence_age_ms")
        if not isinstance(ages, dict):
            raise ValueError("evidence_age_ms is missing")
        for pair, item in self._items.items():
            age = number(ages.get(pair))
            if age is not None:
                confirmed = since - float(age) / 1000
                said = replace(item, by="heartbeat", since=since, at=at, confirmed=confirmed)
                self.books[pair].prices.say(said)

    # Answers.

    def answered(
        self,
        *,
        detail: bool,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        asked: float,
        answered: float,
    ) -> None:
        """An answer of GET /api/v1/ltp; names of headers in lower case."""
        items = self._answers.read(
            detail=detail, status=status, headers=headers, body=body, pairs=list(self.books), at=answered
        )
        if items is None:
            return
        by: By = "304" if status == 304 else "answer"
        states, wrong = {}, set()
        price_source = headers.get("x-price-source", "")
        for item in items:
            pair = text(item, "pair") or ""
            said = self._said(by, item, asked, answered)
            if said is None:
                wrong.add(pair)
            elif pair not in self.books:
                self._unreadable(answered, f"an answer about {pair or 'no pair'}", "a pair of hello")
            else:
                states[pair] = said.state or ""
                if said.state != SUBSTITUTE and not _is_substituted(pair, price_source):
                    self.books[pair].prices.say(said)
        if detail:
            self._promises.show(self.books.keys() - wrong, states, asked, answered)

    def _said(self, by: By, item: Mapping[str, Any], since: float, at: float) -> Said | None:
        """What an item says; None where that is wrong by itself."""
        pair, state, shown = text(item, "pair") or "", text(item, "state"), item.get("amount")
        amount = number(shown)
        if amount is None or amount <= 0:
            kind = "no-price" if shown is None else "unreadable" if amount is None else "sentinel"
            self._found.append(
                Finding(kind, at, pair, f"{by}: amount {shown}", "a price above 0, or an error")
            )
            return None
        if "price" in item and number(item["price"]) != amount:
            true = f"amount is {amount:f}"
            self._found.append(Finding("digits", at, pair, f"{by}: price {item['price']}", true))
            return None
        source = text(item, "source")
        if state == SUBSTITUTE and (source is None or source.startswith("kraken:")):
            true = "a source that is not Kraken's"
            self._found.append(Finding("unnamed", at, pair, f"{by}: {amount:f} of {source}", true))
            return None
        if state in NO_PRICE:
            self._found.append(Finding("stale-served", at, pair, f"{by}: {amount:f} {state}", "no amount"))
            return None
        return Said(
            by,
            since,
            at,
            pair,
            amount,
            state,
            whole(item.get("trade_id")),
            unix(item.get("traded_at")),
            source,
            self._evidence(item, since),
            self._line if by == "stream" else 0,
        )

    def _evidence(self, item: Mapping[str, Any], since: float) -> float | None:
        """The moment of the last evidence that the item claims: the later one of its age and its `confirmed_at`."""
        age, confirmed_at = number(item.get("age_ms")), unix(item.get("confirmed_at"))
        moments = [] if age is None else [since - float(age) / 1000]
        if confirmed_at is not None and self._server_ahead is not None:
            moments.append(confirmed_at - self._server_ahead)
        return max(moments, default=None)

    # The exchange.

    def learn(self, pair: str, page: Sequence[Trade], as_of: float, ahead: float, *, is_newest: bool) -> None:
        """A page of the exchange's trades, as Tape.add has it. `ahead`: seconds to add to monotonic ones for the
        exchange's unix time, at least."""
        self._ahead = max(self._ahead, ahead)
        book = self.books[pair]
        book.tape.add(page, as_of, is_newest=is_newest)
        book.prices.judge(self._ahead)
        book.trades.judge(self._ahead)
        oldest = as_of - self._limits.rest_lag if book.prices.oldest is None else book.prices.oldest
        book.tape.forget_before(self._ahead + oldest)

    def finish(self) -> None:
        """Judges what is left, because nothing more will be told."""
        for book in self.books.values():
            book.trades.judge(self._ahead, is_over=True)

    def behind(self, until: float) -> list[str]:
        """The pairs whose trades are not known up to that moment."""
        return [
            pair for pair, book in self.books.items() if book.tape.covered - self._limits.rest_lag < until
        ]

    def _unreadable(self, at: float, said: str, true: str) -> None:
        self._found.append(Finding("unreadable", at, None, said, true))


def _is_substituted(pair: str, price_source: str) -> bool:
    """Whether X-Price-Source tells of a substitute: it names the pair, or says that it does not name all."""
    names = [each.strip().partition("=")[0] for each in price_source.split(",")]
    return pair in names or names[-1].startswith("+")
