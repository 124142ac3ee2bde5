"""Trades that a fleet shares: the owner of the feeds sends them to the other processes."""

from collections import defaultdict
from collections.abc import Callable
from threading import Lock

import msgspec

from ltp_service.domain.trade import Trade
from ltp_service.prices.store import TradeSink
from ltp_service.redis.topic import Fields, FleetLine, Topic

MAX_WAITING_TRADES = 10_000
"""Most trades that wait to be sent: as many as a store holds."""

_encode = msgspec.json.Encoder(decimal_format="string").encode
_decode = msgspec.json.Decoder(list[Trade]).decode


class SharedTrades(Topic):
    """A sink that keeps each trade in this process and sends it to the fleet, by exchange and symbol.

    Redis holds the last batch of each, so that a new process knows the last price at once.
    """

    def __init__(
        self,
        local: TradeSink,
        line: FleetLine,
        name: str = "trades",
        loaded: Callable[[], None] = lambda: None,
    ) -> None:
        """`loaded` is called after trades of any age were read from the hash."""
        super().__init__(name, line)
        self._loaded = loaded
        self._local = local
        self._waiting: defaultdict[str, list[Trade]] = defaultdict(list)
        self._count = 0
        self._lock = Lock()

    def put(self, trade: Trade) -> bool:
        """Takes a trade; False for a duplicate or one too old to be kept."""
        stored = self._local.put(trade)
        if stored:
            self.share(trade)
        return stored

    def share(self, trade: Trade) -> None:
        """Has a trade sent that this process keeps."""
        if self._count < MAX_WAITING_TRADES:
            with self._lock:
                self._waiting[f"{trade.exchange}/{trade.symbol}"].append(trade)
                self._count += 1

    def restart(self) -> None:
        self._take()

    def load(self) -> None:
        super().load()
        self._loaded()

    def take_news(self) -> Fields:
        return {name: _encode(trades) for name, trades in self._take().items()}

    def give_back(self, fields: Fields) -> None:
        with self._lock:
            for name, text in fields.items():
                trades = _decode(text)
                self._waiting[name][:0] = trades
                self._count += len(trades)

    def learn(self, fields: Fields) -> None:
        for text in fields.values():
            for trade in _decode(text):
                self._local.put(trade)

    def _take(self) -> dict[str, list[Trade]]:
        with self._lock:
            waiting, self._waiting, self._count = self._waiting, defaultdict(list), 0
        return waiting
