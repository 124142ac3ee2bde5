"""The simulated exchanges, built and put on their paths."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from ltp_service.simulator import binance, binance_rest, bybit, bybit_rest
from ltp_service.simulator.binance import Binance
from ltp_service.simulator.binance_rest import BinanceRest
from ltp_service.simulator.bybit import Bybit
from ltp_service.simulator.bybit_rest import BybitRest
from ltp_service.simulator.connection import Terms
from ltp_service.simulator.market import SpotMarket
from ltp_service.simulator.server import Serve
from ltp_service.simulator.spot import Spot
from ltp_service.simulator.wire import Reply, Request

BYBIT_PATH = "/v5/public/spot"
BINANCE_PATH = "/stream"

BYBIT_TERMS = Terms(idle=600.0)
BINANCE_TERMS = Terms(idle=180.0, ping=20.0, pong=60.0, lifetime=86_400.0, messages_per_second=5)


@dataclass
class Venues:
    """By name, by WebSocket path, and what answers their REST paths."""

    by_name: dict[str, Spot] = field(default_factory=dict)
    sockets: dict[str, Serve] = field(default_factory=dict)
    routes: dict[str, Callable[[Request], Reply]] = field(default_factory=dict)

    def add(self, exchange: Spot, path: str, routes: Mapping[str, Callable[[Request], Reply]]) -> None:
        self.by_name[exchange.name] = exchange
        self.sockets[path] = partial(exchange.serve, exchange.dialect)
        self.routes.update(routes)


def build(seed: int, binance_terms: Terms, clock: Callable[[], float]) -> Venues:
    venues = Venues()
    _add_bybit(venues, SpotMarket(bybit.NAME, seed, bybit.FIRST_ID, clock))
    _add_binance(venues, SpotMarket(binance.NAME, seed, clock=clock), binance_terms)
    return venues


def _add_bybit(venues: Venues, market: SpotMarket) -> None:
    exchange = Spot(market, Bybit, BYBIT_TERMS)
    venues.add(exchange, BYBIT_PATH, {bybit_rest.PREFIX: BybitRest(exchange).answer})


def _add_binance(venues: Venues, market: SpotMarket, terms: Terms) -> None:
    exchange = Spot(market, Binance, terms)
    venues.add(exchange, BINANCE_PATH, {binance_rest.PREFIX: BinanceRest(exchange).answer})
