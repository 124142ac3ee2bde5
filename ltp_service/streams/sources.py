"""Where the events of streams come from: the stores of this process, and their news."""

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

from ltp_service.collected.books import BookStore
from ltp_service.collected.kraken_tape import KrakenTape
from ltp_service.collected.pair_books import PairBook, PairBooks
from ltp_service.collected.trades import TradeStore
from ltp_service.domain.book import BookView
from ltp_service.domain.errors import NotSupported
from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import Price
from ltp_service.domain.trade import Trade
from ltp_service.feed.contract import Gap, Link
from ltp_service.prices.accept import CLOCK_ERROR_SECONDS
from ltp_service.prices.changes import Changes
from ltp_service.prices.freshness import is_substitute
from ltp_service.prices.quotes import Quote, Quotes
from ltp_service.runtime.clock import Clock
from ltp_service.runtime.moments import rfc3339
from ltp_service.streams.board import Board
from ltp_service.streams.books import ExchangeBook, book_key, pair_book_key, render_book, render_pair_book
from ltp_service.streams.event_ids import hash_of, moment_id, read_moment, read_positions
from ltp_service.streams.events import (
    HEARTBEAT_SECONDS,
    ExchangeGap,
    ExchangeHello,
    Heartbeat,
    Hello,
    encode,
)
from ltp_service.streams.flow import Flow, Newest, Wording
from ltp_service.streams.question import ExchangeEvents, ExchangeQuestion, MarketQuestion, Question
from ltp_service.streams.tapes import ExchangeTape, KrakenPairs, market_gap
from ltp_service.version import VERSION

News = Hashable
"""What changed: a pair; `("trades", pair)` for its trades; a symbol for its trades on other exchanges."""


class _OfABook(NamedTuple):
    """Stands for an order book, of which no news are told."""

    book: ExchangeBook


class _BestOf(NamedTuple):
    """Stands for the best bid and ask of a pair, of which no news are told either."""

    pair: Pair


class Collecting(NamedTuple):
    """What the collectors of other exchanges say about themselves now."""

    links: Callable[[ExchangeEvents], Sequence[tuple[str, Link]]]
    """The exchanges of the collectors of one kind, and their states."""
    gaps: Callable[[str], Sequence[Gap]]
    """When trades of an exchange may have been missed."""


class Sources:
    """Opens the flow of a question, and says which flows have something to tell."""

    def __init__(
        self,
        quotes: Quotes,
        changes: Changes,
        clock: Clock,
        tape: KrakenTape | None,
        trades: TradeStore,
        books: BookStore,
        collecting: Collecting,
        pair_books: PairBooks | None = None,
    ) -> None:
        """`tape` is Kraken's; None where its protocol gives no trade ids. `pair_books` are Kraken's, too; None where they
        are not collected."""
        self._quotes, self._changes, self._clock, self._tape = quotes, changes, clock, tape
        self._trades, self._books, self._collecting = trades, books, collecting
        self.item: Callable[[Quote], bytes] = lambda _: b"{}"
        """Renders a price as `detail=true` does. Set by the room that knows how."""
        self.deviates: Callable[[Pair, Price], bool | None] = lambda *_: None
        """Whether the price of a pair is far from other exchanges' prices. Set where those are known."""
        self._prices = Board(quotes.look, self._price_key, self._render_price)
        self._best = Board(self._read_books, book_key, render_book)
        self._pair_books = pair_books
        self._of_pairs = Board(pair_books.look if pair_books else _no_books, pair_book_key, render_pair_book)
        self._looked_at = (0, 0, 0)
        """The versions of the boards at the last look."""
        self._flows: dict[News, dict[Flow, None]] = {}
        """The flows that tell of each."""
        self._news_of: dict[Flow, tuple[News, ...]] = {}

    def check(self, question: Question) -> None:
        """Raises NotSupported for a question that this process cannot answer."""
        if isinstance(question, MarketQuestion) and question.books and self._pair_books is None:
            raise NotSupported("Kraken's order books are not collected here: add kraken_books to COLLECTORS")
        if isinstance(question, MarketQuestion) and question.events != "prices" and self._tape is None:
            raise NotSupported(
                "the exchange's protocol v1 and a service without its feed know no trade ids; ask events=prices"
            )

    def open(self, question: Question) -> Flow:
        """The flow of a question."""
        if isinstance(question, MarketQuestion):
            flow, news = self._open_market(question)
        else:
            flow, news = self._open_exchange(question)
        self._news_of[flow] = news
        for each in news:
            self._flows.setdefault(each, {})[flow] = None
        return flow

    def close(self, flow: Flow) -> None:
        """The flow has no listener any more."""
        for each in self._news_of.pop(flow):
            flows = self._flows[each]
            del flows[flow]
            if not flows:
                del self._flows[each]
                if isinstance(each, Pair):
                    self._prices.forget(each)
                elif isinstance(each, _OfABook):
                    self._best.forget(each.book)
                elif isinstance(each, _BestOf):
                    self._of_pairs.forget(each.pair)

    def listen(self, tell: Callable[[News], None] | None) -> None:
        """Has `tell` called with all news; None ends that."""
        self._changes.listener = self._trades.listener = tell
        if self._tape is not None:
            self._tape.on_news = (lambda pair: tell(("trades", pair))) if tell else None

    def hear(self, news: Collection[News]) -> list[Flow]:
        """The flows that these news concern. A new price came with a trade, which the tape may not have read yet."""
        concerned = [*news, *(("trades", each) for each in news if isinstance(each, Pair))]
        asked = [each for each in concerned if each in self._flows]
        if pairs := [each for each in asked if isinstance(each, Pair)]:
            self._prices.look(pairs)
        return self._lagging(asked)

    def look(self) -> list[Flow]:
        """Looks at everything that is asked; time alone may have changed a state, or ended the wait for a trade."""
        pairs = [each for each in self._flows if isinstance(each, Pair)]
        books = [each.book for each in self._flows if isinstance(each, _OfABook)]
        best_of = [each.pair for each in self._flows if isinstance(each, _BestOf)]
        self._prices.look(pairs)
        self._best.look(books)
        self._of_pairs.look(best_of)
        for flow in self._news_of:
            flow.refresh()
        # Most looks find nothing new. So a flow of prices or books is asked only where one of them has changed.
        news: list[News] = [each for each in self._flows if not isinstance(each, Pair | _OfABook | _BestOf)]
        news += self._prices.changed_since(self._looked_at[0], pairs)
        news += map(_OfABook, self._best.changed_since(self._looked_at[1], books))
        news += map(_BestOf, self._of_pairs.changed_since(self._looked_at[2], best_of))
        self._looked_at = self._prices.version, self._best.version, self._of_pairs.version
        return self._lagging(news)

    def _lagging(self, news: Iterable[News]) -> list[Flow]:
        """The flows that tell of these and have something to tell."""
        flows = {flow: None for each in news for flow in self._flows[each]}
        return [flow for flow in flows if flow.lags()]

    # Prices and trades of pairs.

    def _price_key(self, quote: Quote) -> object:
        state, price = quote.verdict.state, quote.price
        if price is None:
            return state
        tick = price.tick
        deviating = self.deviates(quote.pair, price)
        return tick.price, tick.trade_id, tick.traded_at, state, price.confirmed_by, deviating is True

    def _render_price(self, quote: Quote) -> bytes:
        return self.item(quote)

    def _open_market(self, question: MarketQuestion) -> tuple[Flow, tuple[News, ...]]:
        pairs, clock = question.pairs, self._clock
        names = list(map(str, pairs))
        subjects = hash_of(names)

        def knows(text: str) -> bool:
            is_of_trades = read_positions(text, subjects, len(pairs)) is not None
            return is_of_trades or (text[:3] == "p1." and read_moment(text, subjects) is not None)

        def gaps(text: str) -> list[bytes]:
            return [market_gap(pair, read_moment(text, subjects), clock.wall()) for pair in pairs]

        def hello(is_resumed: bool) -> bytes:
            return encode(Hello(VERSION, rfc3339(clock.wall()), HEARTBEAT_SECONDS, names, is_resumed))

        # The pump rests between its look and this. What came meanwhile is no evidence for the prices that are told.
        look = self._quotes.look if question.events == "trades" else self._prices.seen
        wording = Wording(
            hello=hello,
            heartbeat=lambda: self._heartbeat(pairs, look),
            moment_id=lambda: moment_id("p1", subjects, clock.wall()),
            knows=knows,
            unknown=gaps,
            wall=clock.wall,
        )
        prices = [Newest(self._prices, pairs, "price")] if question.events != "trades" else []
        books = [Newest(self._of_pairs, pairs, "book")] if question.books else []
        wants_trades = question.events != "prices"
        is_from_before = partial(self._is_before, clock.monotonic() - CLOCK_ERROR_SECONDS)
        tape = (
            KrakenPairs(self._tape, pairs, subjects, is_from_before) if self._tape and wants_trades else None
        )
        news: list[News] = [*(pairs if prices else ()), *(("trades", pair) for pair in pairs if tape)]
        news += map(_BestOf, pairs if books else ())
        return Flow(wording, [*prices, *books], tape), tuple(news)

    def _is_before(self, at: float, pair: Pair, trade: Trade) -> bool:
        """Whether a trade of the pair on Kraken was made before that monotonic second. The pair's price tells how far Kraken's clock
        is ahead, where it has both times; else this machine's clock has to."""
        ahead = self._clock.wall() - self._clock.monotonic()
        (quote,) = self._quotes.look([pair])
        if quote.price is not None and not is_substitute(quote.price):
            tick = quote.price.tick
            if tick.traded_at is not None and tick.happened_at is not None:
                ahead = tick.traded_at - tick.happened_at
        return trade.timestamp - ahead < at

    def _heartbeat(
        self, pairs: tuple[Pair, ...], look: Callable[[tuple[Pair, ...]], Sequence[Quote]]
    ) -> bytes:
        quotes, now = look(pairs), self._clock.monotonic()
        ages = {
            str(quote.pair): None if quote.price is None else _milliseconds(now - quote.price.confirmed_at)
            for quote in quotes
        }
        states = Counter[str](quote.verdict.state for quote in quotes)
        return encode(Heartbeat(rfc3339(self._clock.wall()), states, ages))

    # Trades and books of other exchanges.

    def _open_exchange(self, question: ExchangeQuestion) -> tuple[Flow, tuple[News, ...]]:
        symbol, exchanges, events = question
        clock = self._clock
        subjects = hash_of([symbol, *exchanges])

        def gaps(_: str) -> list[bytes]:
            now = rfc3339(clock.wall())
            return [encode(ExchangeGap(each, symbol, None, None, None, now)) for each in exchanges]

        def hello(is_resumed: bool) -> bytes:
            now = rfc3339(clock.wall())
            return encode(ExchangeHello(VERSION, now, HEARTBEAT_SECONDS, symbol, list(exchanges), is_resumed))

        wording = Wording(
            hello=hello,
            heartbeat=lambda: self._exchange_heartbeat(exchanges, events),
            moment_id=lambda: moment_id("b1", subjects, clock.wall()),
            knows=lambda text: text[:3] == "b1." and read_moment(text, subjects) is not None,
            unknown=gaps,
            wall=clock.wall,
        )
        if events == "trades":
            tape = ExchangeTape(self._trades, self._collecting.gaps, symbol, exchanges, subjects)
            return Flow(wording, [], tape), (symbol,)
        books = tuple((exchange, symbol) for exchange in exchanges)
        return Flow(wording, [Newest(self._best, books, "book")], None), tuple(map(_OfABook, books))

    def _exchange_heartbeat(self, exchanges: Sequence[str], events: ExchangeEvents) -> bytes:
        now, wall = self._clock.monotonic(), self._clock.wall()
        links = [
            (exchange, link) for exchange, link in self._collecting.links(events) if exchange in exchanges
        ]
        ages = {
            exchange: _milliseconds(None if link.last_frame_at is None else now - link.last_frame_at)
            for exchange, link in links
        }
        return encode(Heartbeat(rfc3339(wall), Counter[str](link.state for _, link in links), ages))

    def _read_books(self, books: Sequence[ExchangeBook]) -> list[tuple[ExchangeBook, BookView | None]]:
        return [((exchange, symbol), self._books.view(symbol, exchange, 1)) for exchange, symbol in books]


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(max(0.0, seconds) * 1000)


def _no_books(_: Sequence[Pair]) -> list[PairBook]:
    return []
