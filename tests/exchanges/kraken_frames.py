"""Frames of Kraken's two protocols, and a collector that is fed with them."""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial

from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import Price
from ltp_service.prices.doubts import Doubts
from ltp_service.prices.quarantine import Quarantine
from ltp_service.prices.store import Store
from tests import fakes
from tests.fakes import BTC, ETH, NOON, Script, kraken_collector, memory_store

V1, V2 = "ws://127.0.0.1:9/", "ws://127.0.0.1:9/v2"

BEGUN = 1000.0
"""Monotonic seconds at which a scripted connection begins; the exchange's clock shows NOON then."""

BEAT, V1_BEAT = '{"channel":"heartbeat"}', '{"event":"heartbeat"}'


def at(seconds: float) -> str:
    """The moment so long after NOON."""
    moment = datetime.fromtimestamp(NOON + seconds, UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def ack(channel: str = "trade", seconds: float = 0.0) -> str:
    result = {"channel": channel, "symbol": "BTC/USD"}
    return json.dumps({"method": "subscribe", "success": True, "result": result, "time_out": at(seconds)})


def row(price: str, number: int, seconds: float, symbol: str = "BTC/USD") -> str:
    return (
        f'{{"symbol":"{symbol}","side":"buy","price":{price},"qty":1,"ord_type":"limit",'
        f'"trade_id":{number},"timestamp":"{at(seconds)}"}}'
    )


def trades(*rows: str, kind: str = "update") -> str:
    return f'{{"channel":"trade","type":"{kind}","data":[{",".join(rows)}]}}'


def trade(
    price: str, number: int = 1, seconds: float = 0.0, kind: str = "update", symbol: str = "BTC/USD"
) -> str:
    return trades(row(price, number, seconds, symbol), kind=kind)


def ticker(price: str, seconds: float | None = None, kind: str = "update", symbol: str = "BTC/USD") -> str:
    """Without a time of its own where there are no `seconds`."""
    dated = "" if seconds is None else f',"timestamp":"{at(seconds)}"'
    return f'{{"channel":"ticker","type":"{kind}","data":[{{"symbol":"{symbol}","last":{price}{dated}}}]}}'


def v1_ack(channel: str = "ticker") -> str:
    event = {"event": "subscriptionStatus", "pair": "XBT/USD", "status": "subscribed"}
    return json.dumps(event | {"subscription": {"name": channel}}, separators=(",", ":"))


def end(channel: str) -> str:
    """The exchange ended a subscription."""
    result = {"channel": channel, "symbol": "BTC/USD"}
    return json.dumps({"method": "unsubscribe", "success": True, "result": result})


def refusal() -> str:
    """The exchange refuses the pair on every channel."""
    return json.dumps({"method": "subscribe", "success": False, "error": "not now", "symbol": "BTC/USD"})


def v1_end(channel: str) -> str:
    event = {"event": "subscriptionStatus", "pair": "XBT/USD", "status": "unsubscribed"}
    return json.dumps(event | {"subscription": {"name": channel}})


def v1_ticker(price: str, symbol: str = "XBT/USD") -> str:
    return f'[1,{{"c":["{price}","1"]}},"ticker","{symbol}"]'


def v1_trades(*rows: tuple[str, float]) -> str:
    listed = [[price, "1", f"{NOON + seconds:.6f}", "b", "m", ""] for price, seconds in rows]
    return json.dumps([1, listed, "trade", "XBT/USD"], separators=(",", ":"))


def v1_trade(price: str, seconds: float = 0.0) -> str:
    return v1_trades((price, seconds))


V1_ACKS = [v1_ack("ticker"), v1_ack("trade")]
V2_ACKS = [ack("ticker"), ack("trade")]

Step = str | list[str] | float | None | Exception | Callable[["Fed"], None]
"""As of any scripted connection; what acts is given the collector and its surroundings."""


def beats(seconds: int, frame: str = V1_BEAT) -> list[Step]:
    """So many seconds in which nothing but heartbeats arrives."""
    return [step for _ in range(seconds * 5) for step in (0.2, frame)]


class Fed:
    """A collector that was fed some steps, one connection after the other."""

    def __init__(
        self,
        url: str,
        *connections: Iterable[Step] | Exception,
        pairs: Sequence[Pair] = (BTC, ETH),
        quarantine: Quarantine | None = None,
        store: Store | None = None,
    ) -> None:
        self.script = Script(
            *(one if isinstance(one, Exception) else map(self._step, one) for one in connections)
        )
        self.store: Store = store or memory_store(self.script.clock)
        self.doubts = Doubts()
        self.collector = kraken_collector(
            url, pairs, self.store, self.script.equipment, quarantine, self.doubts
        )
        self.script.play(self.collector)

    @property
    def held(self) -> Price:
        """What is held of BTC/USD."""
        return self.store.all()[BTC]

    @property
    def price(self) -> str:
        return self.held.tick.price

    @property
    def confirmed_at(self) -> float:
        """Seconds after the beginning."""
        return self.held.confirmed_at - BEGUN

    @property
    def reason(self) -> str | None:
        """Of the doubt about BTC/USD."""
        doubt = self.doubts.about(BTC)
        return None if doubt is None else doubt.reason

    @property
    def refused(self) -> dict[str, int]:
        """Reason to number of frames."""
        return self.script.meters.refused

    def _step(self, step: Step) -> fakes.Step:
        if step is None or isinstance(step, str | list | float | int | Exception):
            return step
        return partial(step, self)
