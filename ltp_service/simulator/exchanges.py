"""The simulated exchanges, built and put on their paths."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from ltp_service.simulator import (
    binance,
    binance_rest,
    bitstamp,
    bitstamp_rest,
    bybit,
    bybit_rest,
    coinbase,
    kraken_rest,
)
from ltp_service.simulator.binance import Binance
from ltp_service.simulator.binance_rest import BinanceRest
from ltp_service.simulator.bitstamp import Bitstamp
from ltp_service.simulator.bitstamp_rest import BitstampRest
from ltp_service.simulator.bybit import Bybit
from ltp_service.simulator.bybit_rest import BybitRest
from ltp_service.simulator.coinbase import Coinbase
from ltp_service.simulator.connection import Terms
from ltp_service.simulator.kraken import Kraken
from ltp_service.simulator.kraken_rest import KrakenRest
from ltp_service.simulator.kraken_v1 import KrakenV1
from ltp_service.simulator.kraken_v2 import KrakenV2
from ltp_service.simulator.market import SpotMarket
from ltp_service.simulator.server import Serve
from ltp_service.simulator.spot import Spot
from ltp_service.simulator.wire import Reply, Request

BYBIT_PATH = "/v5/public/spot"
BINANCE_PATH = "/stream"
COINBASE_PATH = "/coinbase"
BITSTAMP_PATH = "/bitstamp"

BYBIT_TERMS = Terms(idle=600.0)
BINANCE_TERMS = Terms(idle=180.0, ping=20.0, pong=60.0, lifetime=86_400.0, messages_per_second=5)
COINBASE_TERMS = Terms(idle=5.0, idle_subscribed=True)
BITSTAMP_TERMS = Terms(idle=600.0)

SOURCE_PAIRS = ("BTCUSD", "BTCEUR", "ETHUSD", "LTCUSD", "XRPUSD")
"""The pairs of Coinbase and Bitstamp that the walk begins with. They have no market in CHF or CAD."""

Answer = Callable[[Request], Reply]


@dataclass
class Exchanges:
    """The exchanges other than Kraken by name, and of all exchanges what serves each WebSocket and each REST path."""

    others: dict[str, Spot] = field(default_factory=dict)
    sockets: dict[str, Serve] = field(default_factory=dict)
    routes: dict[str, Answer] = field(default_factory=dict)

    def add(self, exchange: Spot, path: str, routes: Mapping[str, Answer]) -> None:
        self.others[exchange.name] = exchange
        self.sockets[path] = partial(exchange.serve, exchange.dialect)
        self.routes.update(routes)


def build(kraken: Kraken, seed: int, binance_terms: Terms, clock: Callable[[], float]) -> Exchanges:
    exchanges = Exchanges()
    _add_kraken(exchanges, kraken)
    _add_bybit(exchanges, SpotMarket(bybit.NAME, seed, bybit.FIRST_ID, clock))
    _add_binance(exchanges, SpotMarket(binance.NAME, seed, clock=clock), binance_terms)
    beating = replace(COINBASE_TERMS, heartbeat=kraken.terms.heartbeat)
    _add_coinbase(exchanges, SpotMarket(coinbase.NAME, seed, 0, clock, SOURCE_PAIRS), beating)
    _add_bitstamp(exchanges, SpotMarket(bitstamp.NAME, seed, 0, clock, SOURCE_PAIRS))
    return exchanges


def _add_kraken(exchanges: Exchanges, kraken: Kraken) -> None:
    exchanges.sockets["/"] = partial(kraken.serve, KrakenV1(kraken))
    exchanges.sockets["/v2"] = partial(kraken.serve, KrakenV2(kraken))
    exchanges.routes[kraken_rest.PREFIX] = KrakenRest(kraken).answer


def _add_bybit(exchanges: Exchanges, market: SpotMarket) -> None:
    exchange = Spot(market, Bybit, BYBIT_TERMS)
    exchanges.add(exchange, BYBIT_PATH, {bybit_rest.PREFIX: BybitRest(exchange).answer})


def _add_binance(exchanges: Exchanges, market: SpotMarket, terms: Terms) -> None:
    exchange = Spot(market, Binance, terms)
    exchanges.add(exchange, BINANCE_PATH, {binance_rest.PREFIX: BinanceRest(exchange).answer})


def _add_coinbase(exchanges: Exchanges, market: SpotMarket, terms: Terms) -> None:
    exchanges.add(Spot(market, Coinbase, terms), COINBASE_PATH, {})


def _add_bitstamp(exchanges: Exchanges, market: SpotMarket) -> None:
    exchange = Spot(market, Bitstamp, BITSTAMP_TERMS)
    exchanges.add(exchange, BITSTAMP_PATH, {bitstamp_rest.PREFIX: BitstampRest(exchange).answer})
