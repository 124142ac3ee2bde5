"""The exchange: what its market does reaches the connections that subscribed to it."""

import random
import re
from collections.abc import Callable, Sequence
from typing import Protocol

from ltp_service.simulator import questions
from ltp_service.simulator.connection import Connection, Topic
from ltp_service.simulator.dialect import Dialect, Wish
from ltp_service.simulator.later import Later, start_timer
from ltp_service.simulator.links import Links
from ltp_service.simulator.market import Market, Pair, Trade
from ltp_service.simulator.questions import DATA, Ignored, Kind, Outgoing, Refused
from ltp_service.simulator.switches import KRAKEN, Arguments, Switches
from ltp_service.simulator.wire import text_frame

SNAPSHOT_TRADES = 50
DELISTED = "delisted"
INSTRUMENTS: Topic = ("instrument", "")
MATCHING = ("online", "limit_only", "reduce_only")


class Player(Protocol):
    """Plays recorded frames in place of the market's."""

    @property
    def has_status(self) -> bool: ...

    def acknowledges(self, channel: str, pair: str) -> bool: ...

    def plays(self, pair: str) -> bool: ...

    def start(self, connection: Connection) -> None: ...


class Exchange(Links[Connection]):
    """Owns the subscriptions and the market."""

    def __init__(self, market: Market, seed: int, heartbeat_seconds: float = 1.0) -> None:
        super().__init__()
        self.market = market
        self.heartbeat_seconds = heartbeat_seconds
        self.faults = Switches("kraken", KRAKEN)
        self.player: Player | None = None
        self._system = "online"
        self._pair_status: dict[str, str] = {}
        self._later = Later()
        self._played: set[int] = set()
        self._choice = random.Random(seed)

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
            for connection in self.subscribers(*INSTRUMENTS):
                self._say_instruments(connection, [(known, status or "online")], snapshot=False)

    def is_matching(self, pair: str) -> bool:
        """Whether the pair has trades now."""
        return self._pair_status.get(pair, self._system) in MATCHING

    def follow_instruments(self, connection: Connection, ack: str, snapshot: bool) -> None:
        delay = sum(self.faults.ask(questions.subscription_delay, ""))
        self._later.after(delay, lambda: self._start_instruments(connection, ack, snapshot))

    def _start_instruments(self, connection: Connection, ack: str, snapshot: bool) -> None:
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
            connection.topics.add(INSTRUMENTS)
            self._start_beating(connection, subscribed=True)

    def _say_instruments(
        self, connection: Connection, statuses: Sequence[tuple[Pair, str]], *, snapshot: bool
    ) -> None:
        text = connection.dialect.instruments(statuses, snapshot=snapshot)
        if text is not None:
            connection.say(text, Kind.INSTRUMENT)

    def forget(self, client: Connection) -> None:
        self._played.discard(client.connection_id)
        for topic in list(client.topics):
            self.unsubscribe(client, topic)

    def unsubscribe(self, connection: Connection, topic: Topic) -> bool:
        """Whether there was such a subscription."""
        with self.lock:
            if topic not in connection.topics:
                return False
            connection.topics.discard(topic)
        if topic != INSTRUMENTS:
            self.counters.subscribed(*topic, -1)
        return True

    def subscribe(self, connection: Connection, wishes: Sequence[Wish]) -> None:
        """Answers a request's wishes: all acknowledgements first, then the snapshots (as recorded)."""
        delay = sum(self.faults.ask(questions.subscription_delay, ""))
        if not delay:
            self._grant(connection, wishes)
            return
        start_timer(delay, lambda: self._grant(connection, wishes))

    def _grant(self, connection: Connection, wishes: Sequence[Wish]) -> None:
        with self.lock:  # whoever reads the acknowledgement is subscribed
            granted = [wish for wish in wishes if self._answer(connection, wish)]
            if not self.is_connected(connection):
                return
            self._send_snapshots(connection, granted)
            for wish in granted:
                connection.topics.add((wish.channel, wish.pair.name))
            self._start_beating(connection, bool(granted))
        for wish in granted:
            self.counters.subscribed(wish.channel, wish.pair.name, 1)

    def _start_beating(self, connection: Connection, subscribed: bool) -> None:
        """Heartbeats begin with the first subscription; a recording brings its own."""
        if self.player is None:
            if subscribed:
                connection.start_heartbeats()
        elif connection.connection_id not in self._played:
            self._played.add(connection.connection_id)
            self.player.start(connection)

    def _answer(self, connection: Connection, wish: Wish) -> bool:
        """Acknowledges or refuses; returns whether data will come."""
        verdict = self.faults.first(questions.when_subscribing, wish.pair.name)
        if isinstance(verdict, Ignored):
            return verdict.with_data
        error = (verdict.error or wish.not_supported) if isinstance(verdict, Refused) else None
        if self._pair_status.get(wish.pair.name) == DELISTED:
            error = wish.not_supported
        if (wish.channel, wish.pair.name) in connection.topics:
            error = "Already subscribed"
        if error:
            connection.say(wish.refusal(error), Kind.ACK, wish.pair.name)
        elif not (self.player and self.player.acknowledges(wish.channel, wish.pair.name)):
            connection.say(wish.ack(), Kind.ACK, wish.pair.name)
        return error is None

    def _send_snapshots(self, connection: Connection, granted: Sequence[Wish]) -> None:
        player = self.player
        wanted = [wish for wish in granted if wish.snapshot and not (player and player.plays(wish.pair.name))]
        for wish in wanted:
            if wish.channel == "ticker":
                self._send_first_ticker(connection, wish.pair)
        pairs = [wish.pair for wish in wanted if wish.channel == "trade"]
        histories = [
            self._history(pair)
            for pair in pairs
            if self.faults.all(questions.passes, Outgoing(Kind.TRADE, pair.name))
        ]
        for rows in connection.dialect.first_trades(histories):
            text = connection.dialect.trades(rows, snapshot=True)
            connection.say(text, Kind.TRADE, rows[0].pair.name)

    def _send_first_ticker(self, connection: Connection, pair: Pair) -> None:
        tape = self.market.tapes[pair.name]
        last = self.faults.first(questions.snapshot_trade, tape)
        connection.say(connection.dialect.ticker(tape.ticker(last), snapshot=True), Kind.TICKER, pair.name)

    def _history(self, pair: Pair) -> Sequence[Trade]:
        trades = list(self.market.tapes[pair.name].trades)[-SNAPSHOT_TRADES:]
        return self.faults.fold(questions.rows, trades)

    def subscribers(self, channel: str, pair: str) -> list[Connection]:
        with self.lock:
            return [each for each in self.connections() if (channel, pair) in each.topics]

    def publish(self, trades: Sequence[Trade], *, silent: bool = False) -> None:
        """Prints the trades of one event of one pair: onto the tape, then to the subscribers of both channels."""
        with self.lock:
            pair = trades[-1].pair
            tape = self.market.tapes[pair.name]
            for trade in trades:
                tape.add(trade)
            if silent:
                return
            rows = self.faults.fold(questions.rows, trades)
            self._send(Kind.TRADE, pair, lambda dialect: dialect.trades(rows, snapshot=False))
            self._send(
                Kind.TICKER, pair, lambda dialect: dialect.ticker(tape.ticker(trades[-1]), snapshot=False)
            )

    def _send(self, kind: Kind, pair: Pair, write: Callable[[Dialect], str]) -> None:
        by_dialect: dict[str, list[Connection]] = {}
        for connection in self.subscribers(kind.value, pair.name):
            by_dialect.setdefault(connection.dialect.name, []).append(connection)
        for connections in by_dialect.values():
            self.deliver(connections, kind, pair.name, write(connections[0].dialect))

    def deliver(self, connections: Sequence[Connection], kind: Kind, pair: str | None, text: str) -> None:
        """A text frame to connections of one dialect: at once and as it is, unless faults see to it."""
        frame = Outgoing(kind, pair, (text,), self.market.now())
        if not self.faults.all(questions.passes, frame):
            return
        times = 1 + sum(self.faults.ask(questions.copies, frame))
        content = b"".join(map(text_frame, self.faults.fold(questions.rewrites, frame).texts)) * times
        delay = sum(self.faults.ask(questions.data_delay, frame)) if kind in DATA else 0.0
        if delay:
            self._later.after(delay, lambda: _send_all(connections, content, times))
        else:
            _send_all(connections, content, times)

    def clear_faults(self) -> None:
        self.faults.clear(self)

    def switch_fault(self, name: str, on: bool, arguments: Arguments) -> None:
        """Raises ValueError naming an unknown fault or argument."""
        self.faults.switch(name, on, arguments, self)


def _send_all(connections: Sequence[Connection], content: bytes, frames: int) -> None:
    for connection in connections:
        connection.send(content, frames)


def _without_system(text: str) -> str:
    """The status frame of either dialect, its member gone that would tell the engine's state."""
    return re.sub(r'"(?:system|status)":"",', "", text)
