"""Kraken: what its market does reaches the subscribed connections, each in its dialect."""

import random
import re
from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ltp_service.simulator import questions
from ltp_service.simulator.connection import Connection, Terms
from ltp_service.simulator.dialect import KrakenDialect, Topic, Wish
from ltp_service.simulator.exchange import Exchange
from ltp_service.simulator.kraken_book import BookState, Top, Window, top_of
from ltp_service.simulator.market import KrakenMarket, KrakenTape, Pair, Trade
from ltp_service.simulator.questions import Ignored, Kind, Outgoing, Refused
from ltp_service.simulator.switches import KRAKEN

if TYPE_CHECKING:
    from ltp_service.simulator.replay import Player

NAME = "kraken"
IDLE_SECONDS = 60.0
SNAPSHOT_TRADES = 50
DELISTED = "delisted"
INSTRUMENTS = Topic("instrument", "instrument", "")
MATCHING = ("online", "limit_only", "reduce_only")
REMEMBERED_TOPS = 20_000
"""Best bids and asks kept of each book."""

Client = Connection[KrakenDialect]


def topic_of(channel: str, pair: str) -> Topic:
    return Topic(f"{channel} {pair}", channel, pair)


class Kraken(Exchange[KrakenDialect]):
    """Tickers, trades, order books and the state of each pair."""

    market: KrakenMarket

    def __init__(self, market: KrakenMarket, seed: int, heartbeat_seconds: float = 1.0) -> None:
        super().__init__(NAME, KRAKEN, Terms(IDLE_SECONDS, idle_subscribed=True, heartbeat=heartbeat_seconds))
        self.market = market
        self.player: Player | None = None
        """Plays recorded frames in place of the market's."""
        self._system = "online"
        self._pair_status: dict[str, str] = {}
        self._played: set[int | str] = set()
        self._choice = random.Random(seed)
        self._windows: dict[str, dict[int, Window]] = {}
        """By pair and depth, those that were ever asked for."""
        self._skipped: Counter[str] = Counter()
        """How many of the next updates of each pair's book get lost."""
        self._tops: dict[str, deque[Top]] = {}

    @property
    def greets(self) -> bool:
        """False when a recording brings its own status frame."""
        return self.player is None or not self.player.has_status

    @property
    def system(self) -> str:
        return self._system

    def new_connection_id(self) -> int:
        """A number above 2**63, as the real ones are at times."""
        with self.lock:
            return 2**63 + self._choice.getrandbits(62)

    def set_system(self, system: str) -> None:
        with self.lock:
            self._system = system
            for connection in self.connections():
                connection.say(connection.dialect.status(system, connection.connection_id), Kind.STATUS)

    def say_status(self, system: str | None) -> None:
        """A status frame with another state than the true one, or without any."""
        with self.lock:
            for connection in self.connections():
                said = connection.dialect.status(system or "", connection.connection_id)
                text = said if system else _without_system(said)
                connection.say(text, Kind.STATUS)

    def pair_status(self, pair: str) -> str | None:
        """None while the pair has no state of its own."""
        return self._pair_status.get(pair)

    def set_pair_status(self, pair: str, status: str | None) -> None:
        """None: online. Raises ValueError for a pair that is not listed."""
        with self.lock:
            known = self.market.pair(pair)
            if known is None:
                raise ValueError(f"no pair {pair!r}")
            if status is None:
                self._pair_status.pop(pair, None)
            else:
                self._pair_status[pair] = status
            for connection in self.subscribers(INSTRUMENTS.name):
                self._say_instruments(connection, [(known, status or "online")], snapshot=False)

    def follow_instruments(self, connection: Client, ack: str, snapshot: bool) -> None:
        self.acknowledge(lambda: self._start_instruments(connection, ack, snapshot))

    def _start_instruments(self, connection: Client, ack: str, snapshot: bool) -> None:
        with self.lock:
            verdict = self.faults.first(questions.when_subscribing, "")
            if isinstance(verdict, Ignored) or not self.is_connected(connection):
                return
            connection.say(ack, Kind.ACK)
            if snapshot:
                statuses = [
                    (tape.pair, self._pair_status.get(name, "online"))
                    for name, tape in self.market.tapes.items()
                    if self._pair_status.get(name) != DELISTED
                ]
                self._say_instruments(connection, statuses, snapshot=True)
            self.join(connection, INSTRUMENTS)
            self._start_beating(connection, subscribed=True)

    def _say_instruments(
        self, connection: Client, statuses: Sequence[tuple[Pair, str]], *, snapshot: bool
    ) -> None:
        text = connection.dialect.instruments(statuses, snapshot=snapshot)
        if text is not None:
            connection.say(text, Kind.INSTRUMENT)

    def left(self, connection: Client) -> None:
        super().left(connection)
        self._played.discard(connection.connection_id)

    def subscribe(self, connection: Client, wishes: Sequence[Wish]) -> None:
        """Answers a request's wishes: all acknowledgements first, then the snapshots (as recorded)."""
        self.counters.asked_to_subscribe()
        self.acknowledge(lambda: self._grant(connection, wishes))

    def _grant(self, connection: Client, wishes: Sequence[Wish]) -> None:
        with self.lock:  # a client that has read the acknowledgement is subscribed
            granted: list[Wish] = []
            for wish in wishes:
                if self._answer(connection, wish, granted):
                    granted.append(wish)
            if not self.is_connected(connection):
                return
            self._send_snapshots(connection, granted)
            for wish in granted:
                self.join(connection, wish.topic)
            self._start_beating(connection, bool(granted))

    def _start_beating(self, connection: Client, subscribed: bool) -> None:
        """Heartbeats begin with the first subscription; a recording brings its own."""
        if self.player is None:
            if subscribed:
                connection.start_heartbeats()
        elif connection.connection_id not in self._played:
            self._played.add(connection.connection_id)
            self.player.start(connection)

    def refusal_of_batch(self, symbols: int) -> str | None:
        """Why a request of so many symbols is refused as a whole; None where it is not."""
        return self.faults.first(questions.when_batched, symbols)

    def _is_full(self, connection: Client, channel: str, waiting: int) -> bool:
        most = self.faults.first(questions.most_symbols, channel)
        if most is None:
            return False
        return waiting + sum(topic.channel == channel for topic in connection.topics.values()) >= most

    def _answer(self, connection: Client, wish: Wish, waiting: Sequence[Wish]) -> bool:
        """Acknowledges or refuses; returns whether data will come. `waiting` were granted just now."""
        verdict = self.faults.first(questions.when_subscribing, wish.pair.name)
        if isinstance(verdict, Ignored):
            return verdict.with_data
        error = (verdict.error or wish.not_supported) if isinstance(verdict, Refused) else None
        if self._pair_status.get(wish.pair.name) == DELISTED:
            error = wish.not_supported
        if self._is_full(connection, wish.topic.channel, len(waiting)):
            error = "Subscription limit exceeded"
        if wish.topic.name in connection.topics:
            error = "Already subscribed"
        if error:
            connection.say(wish.refusal(error), Kind.ACK, wish.pair.name)
        elif not (self.player and self.player.acknowledges(wish.topic)):
            connection.say(wish.ack(), Kind.ACK, wish.pair.name)
        return error is None

    def _send_snapshots(self, connection: Client, granted: Sequence[Wish]) -> None:
        player = self.player
        wanted = [wish for wish in granted if wish.snapshot and not (player and player.plays(wish.pair.name))]
        for wish in wanted:
            if wish.topic.channel == "ticker":
                self._send_first_ticker(connection, wish.pair)
            elif wish.depth is not None:
                told = self._window(wish.pair.name, wish.depth).snapshot()
                connection.say(connection.dialect.book(told, snapshot=True), Kind.BOOK, wish.pair.name)
        pairs = [wish.pair for wish in wanted if wish.topic.channel == "trade"]
        histories = [
            self._history(pair)
            for pair in pairs
            if self.faults.all(questions.passes, Outgoing(Kind.TRADE, pair.name))
        ]
        for rows in connection.dialect.first_trades(histories):
            text = connection.dialect.trades(rows, snapshot=True)
            connection.say(text, Kind.TRADE, rows[0].pair.name)

    def _send_first_ticker(self, connection: Client, pair: Pair) -> None:
        tape = self.market.tapes[pair.name]
        last = self.faults.first(questions.snapshot_trade, tape)
        connection.say(connection.dialect.ticker(tape.ticker(last), snapshot=True), Kind.TICKER, pair.name)

    def _history(self, pair: Pair) -> Sequence[Trade]:
        trades = list(self.market.tapes[pair.name].trades)[-SNAPSHOT_TRADES:]
        return self.faults.fold(questions.rows, trades)

    def publish(self, trades: Sequence[Trade], *, silent: bool = False) -> None:
        with self.lock:
            pair = trades[-1].pair
            tape = self.market.tapes[pair.name]
            tape.add(trades)
            if silent:
                return
            rows = self.faults.fold(questions.rows, trades)
            self._send(Kind.TRADE, pair, lambda dialect: dialect.trades(rows, snapshot=False))
            self._send(
                Kind.TICKER, pair, lambda dialect: dialect.ticker(tape.ticker(trades[-1]), snapshot=False)
            )
            if pair.name in self._windows and tape.requote():
                self._send_book(pair)

    def change_book(self, tape: KrakenTape, levels: int = 1, *, lost: bool = False) -> None:
        with self.lock:
            for _ in tape.book.change(levels):
                pass
            if lost:
                self.skip_update(tape.pair.name)
            self._send_book(tape.pair)

    def tops(self, tape: KrakenTape) -> Sequence[Top]:
        """The best bids and asks since the book was first subscribed, oldest first, each with the moment of its beginning."""
        with self.lock:
            return list(self._tops.get(tape.pair.name, ()))

    def skip_update(self, pair: str) -> None:
        """The next update of that pair's book gets lost."""
        with self.lock:
            self._skipped[pair] += 1

    def _window(self, pair: str, depth: int) -> Window:
        windows = self._windows.setdefault(pair, {})
        if depth not in windows:
            self._note_top(self.market.tapes[pair].pair)
            windows[depth] = Window(lambda: self.market.tapes[pair], depth)
        return windows[depth]

    def _note_top(self, pair: Pair) -> None:
        tops = self._tops.setdefault(pair.name, deque(maxlen=REMEMBERED_TOPS))
        newest = top_of(self.market.tapes[pair.name], self.market.now() / 1e6)
        if not tops or newest.levels != tops[-1].levels:
            tops.append(newest)

    def _send_book(self, pair: Pair) -> None:
        if pair.name in self._windows:
            self._note_top(pair)
        updates = [
            (each, told) for each in self._windows.get(pair.name, {}).values() if (told := each.update())
        ]
        if updates and self._skipped[pair.name]:
            self._skipped[pair.name] -= 1
            return
        for window, told in updates:
            self._send_to(self.subscribers(window.topic.name), Kind.BOOK, pair, partial(_write_update, told))

    def clear_faults(self) -> None:
        super().clear_faults()
        self._skipped.clear()

    def walk(self) -> None:
        """Trades of some pair, while its market is open."""
        with self.lock:
            event = self.market.walk()
            if self._is_matching(event[0].pair.name):
                self.publish(event)
                if event[0].pair.name in self._windows:
                    self.change_book(self.market.tapes[event[0].pair.name], 2)

    def _is_matching(self, pair: str) -> bool:
        return self._pair_status.get(pair, self._system) in MATCHING

    def _send(self, kind: Kind, pair: Pair, write: Callable[[KrakenDialect], str]) -> None:
        self._send_to(self.subscribers(topic_of(kind.value, pair.name).name), kind, pair, write)

    def _send_to(
        self, clients: Sequence[Client], kind: Kind, pair: Pair, write: Callable[[KrakenDialect], str]
    ) -> None:
        by_dialect: dict[str, list[Client]] = {}
        for connection in clients:
            by_dialect.setdefault(connection.dialect.name, []).append(connection)
        for connections in by_dialect.values():
            text = write(connections[0].dialect)
            self.deliver(connections, Outgoing(kind, pair.name, (text,), self.market.now()))


def _write_update(told: BookState, dialect: KrakenDialect) -> str:
    return dialect.book(told, snapshot=False)


def _without_system(text: str) -> str:
    """The status frame of either dialect, its member gone that would tell the engine's state."""
    return re.sub(r'"(?:system|status)":"",', "", text)
