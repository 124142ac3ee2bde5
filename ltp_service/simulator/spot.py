"""An exchange other than Kraken (Bybit, Binance, Coinbase, Bitstamp): what its market does reaches the subscribed connections."""

import random
import string
from collections.abc import Callable, Iterable, Sequence
from itertools import count

from ltp_service.simulator import questions
from ltp_service.simulator.connection import Connection, Terms
from ltp_service.simulator.dialect import Message, SpotDialect, Topic
from ltp_service.simulator.exchange import Exchange
from ltp_service.simulator.later import start_timer
from ltp_service.simulator.market import SpotMarket, SpotTape, Trade
from ltp_service.simulator.order_book import Level
from ltp_service.simulator.questions import Kind, Outgoing, RestCall
from ltp_service.simulator.switches import SPOT
from ltp_service.simulator.wire import Reply, Request, text_frame

Client = Connection[SpotDialect]


class Spot(Exchange[SpotDialect]):
    """Trades and order books."""

    market: SpotMarket

    def __init__(self, market: SpotMarket, dialect: Callable[["Spot"], SpotDialect], terms: Terms) -> None:
        super().__init__(market.exchange, SPOT, terms)
        self.market = market
        self.dialect = dialect(self)
        self._skipped: dict[str, int] = {}
        self._numbers = count(1)
        self._published = count(1)
        self._choice = random.Random(market.exchange)

    def new_connection_id(self) -> str:
        with self.lock:
            letters = self._choice.choices(string.ascii_lowercase + string.digits, k=20)
            return f"{''.join(letters)}-{next(self._numbers):05x}"

    def find(self, pair: str) -> SpotTape | None:
        """None where a fault hides it, too."""
        with self.lock:
            hidden = self.faults.any(questions.hides, pair)
            return None if hidden else self.market.find(pair)

    def refuse_rest(self, method: str, request: Request) -> Reply | None:
        """What a fault answers in place of REST."""
        call = RestCall(method, request)
        refusal = self.faults.first(questions.at_handshake, request)
        return refusal or self.faults.first(questions.rest_answer, call, only=method)

    def subscribe(self, connection: Client, topics: Sequence[Topic], ack: str | None) -> None:
        """Acknowledges and grants, in the order and at the time that faults leave."""
        patience = self.faults.first(questions.data_first, self.name)
        if ack is not None and patience is not None:
            with self.lock:
                connection.park(ack)
                self._grant(connection, topics, None)
            start_timer(patience, lambda: self._release(connection))
            return
        self.acknowledge(lambda: self._grant(connection, topics, ack))

    def _release(self, connection: Client) -> None:
        with self.lock:
            connection.release()

    def _grant(self, connection: Client, topics: Sequence[Topic], ack: str | None) -> None:
        with self.lock:  # a client that has read the acknowledgement is subscribed
            if ack is not None:
                connection.say(ack)
            if not self.is_connected(connection):
                return
            for topic in topics:
                if topic.name in connection.topics:
                    continue
                self.join(connection, topic)
                text = self.dialect.first_text(topic) if topic.exists else None
                if text is not None:
                    self.deliver([connection], Outgoing(self.dialect.first_kind, topic.pair, (text,)))

    def told(self, trades: Sequence[Trade]) -> Sequence[Trade]:
        """Trades as the exchange tells them: a fault may make it lie."""
        return self.faults.fold(questions.rows, trades)

    def publish(self, trades: Sequence[Trade], *, silent: bool = False) -> None:
        with self.lock:
            tape = self.market.tapes[trades[0].pair.name]
            tape.add(trades)
            if silent:
                return
            topic, texts = self.dialect.trades(self.told(trades))
            frame = Outgoing(Kind.TRADE, topic.pair, tuple(texts), number=next(self._published))
            self.deliver(self.subscribers(topic.name), frame)
            if self._adds_block(trades[0]):
                self.publish([tape.block(self.market.now())])

    def _adds_block(self, trade: Trade) -> bool:
        able = self.dialect.prints_blocks and not trade.block
        return able and self.faults.any(questions.adds_block, trade.pair.name)

    def trade(self, tape: SpotTape, trades: int = 1) -> None:
        """One match event of that many trades at a price of the walk."""
        with self.lock:
            self.publish(tape.event(self.market.now(), trades))

    def change_book(self, tape: SpotTape, levels: int = 1, *, lost: bool = False) -> None:
        with self.lock:
            tape.sequence += 1
            changes: list[Level] = list(tape.book.change(levels))
            messages = list(self.dialect.book_update(tape, changes, self._is_wanted))
            if lost:
                self.skip_update(tape.pair.name)
            if messages and self._skipped.get(tape.pair.name):
                self._skipped[tape.pair.name] -= 1
                return
            self._send_book(messages)

    def restart_book(self, tape: SpotTape) -> None:
        with self.lock:
            self._send_book(self.dialect.restart_book(tape, self._is_wanted))

    def _is_wanted(self, topic: str) -> bool:
        return bool(self._subscribers.get(topic))

    def _send_book(self, messages: Iterable[Message]) -> None:
        for topic, text in messages:
            self.deliver(self.subscribers(topic.name), Outgoing(Kind.BOOK, topic.pair, (text,)))

    def walk(self) -> None:
        """A match event and a book update of some pair."""
        with self.lock:
            tape = self._choice.choice(list(self.market.tapes.values()))
            self.trade(tape, self._choice.choice((1, 1, 1, 2, 3)))
            if self.dialect.has_books:
                self.change_book(tape, 2)

    def skip_update(self, pair: str) -> None:
        with self.lock:
            self._skipped[pair] = self._skipped.get(pair, 0) + 1

    def announce_shutdown(self) -> None:
        text = self.dialect.shutdown()
        if text is not None:
            self.send_raw(text_frame(text))

    def clear_faults(self) -> None:
        super().clear_faults()
        self._skipped.clear()
