"""The exchange: what its market does reaches the connections that subscribed to it."""

import random
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from tests.simulator import faults
from tests.simulator.connection import Connection, Topic
from tests.simulator.dialect import Dialect, Wish
from tests.simulator.faults import Faults, Ignored, Kind, Outgoing, Refused
from tests.simulator.links import Links
from tests.simulator.market import Market, Pair, Trade
from tests.simulator.switches import Arguments
from tests.simulator.wire import text_frame

SNAPSHOT_TRADES = 50


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
        self.faults = Faults()
        self.player: Player | None = None
        self._system = "online"
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
        self.counters.subscribed(*topic, -1)
        return True

    def subscribe(self, connection: Connection, wishes: Sequence[Wish]) -> None:
        """Answers a request's wishes: all acknowledgements first, then the snapshots (as recorded)."""
        delay = sum(self.faults.ask(faults.subscription_delay, ""))
        if not delay:
            self._grant(connection, wishes)
            return
        timer = threading.Timer(delay, self._grant, (connection, wishes))
        timer.daemon = True
        timer.start()

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
        verdict = self.faults.first(faults.when_subscribing, wish.pair.name)
        if isinstance(verdict, Ignored):
            return verdict.with_data
        error = (verdict.error or wish.not_supported) if isinstance(verdict, Refused) else None
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
        for rows in connection.dialect.first_trades([self._history(pair) for pair in pairs]):
            text = connection.dialect.trades(rows, snapshot=True)
            connection.say(text, Kind.TRADE, rows[0].pair.name)

    def _send_first_ticker(self, connection: Connection, pair: Pair) -> None:
        tape = self.market.tapes[pair.name]
        last = self.faults.first(faults.snapshot_trade, tape)
        connection.say(connection.dialect.ticker(tape.ticker(last), snapshot=True), Kind.TICKER, pair.name)

    def _history(self, pair: Pair) -> list[Trade]:
        return list(self.market.tapes[pair.name].trades)[-SNAPSHOT_TRADES:]

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
            self._send(Kind.TRADE, pair, lambda dialect: dialect.trades(trades, snapshot=False))
            self._send(
                Kind.TICKER, pair, lambda dialect: dialect.ticker(tape.ticker(trades[-1]), snapshot=False)
            )

    def _send(self, kind: Kind, pair: Pair, write: Callable[[Dialect], str]) -> None:
        if not self.faults.let_pass(Outgoing(kind, pair.name)):
            return
        frames: dict[str, bytes] = {}
        for connection in self.subscribers(kind.value, pair.name):
            name = connection.dialect.name
            if name not in frames:
                frames[name] = text_frame(write(connection.dialect))
            connection.send(frames[name])

    def clear_faults(self) -> None:
        self.faults.clear(self)

    def switch_fault(self, name: str, on: bool, arguments: Arguments) -> None:
        """Raises ValueError naming an unknown fault or argument."""
        self.faults.switch(name, on, arguments, self)
