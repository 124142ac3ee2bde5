"""Bybit and Binance, built and put on their paths."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ltp_service.simulator import binance, binance_rest, bybit, bybit_rest
from ltp_service.simulator.binance import Binance
from ltp_service.simulator.binance_rest import BinanceRest
from ltp_service.simulator.bybit import Bybit
from ltp_service.simulator.bybit_rest import BybitRest
from ltp_service.simulator.switches import SPOT, Switches
from ltp_service.simulator.venue import Venue
from ltp_service.simulator.venue_connection import BYBIT_TERMS, Terms
from ltp_service.simulator.venue_market import VenueMarket
from ltp_service.simulator.wire import Reply, Request

BYBIT_PATH = "/v5/public/spot"
BINANCE_PATH = "/stream"


@dataclass
class Venues:
    """By name, by WebSocket path, and what answers their REST paths."""

    by_name: dict[str, Venue] = field(default_factory=dict)
    sockets: dict[str, Venue] = field(default_factory=dict)
    routes: dict[str, Callable[[Request], Reply]] = field(default_factory=dict)

    def add(self, venue: Venue, path: str, routes: Mapping[str, Callable[[Request], Reply]]) -> None:
        self.by_name[venue.name] = venue
        self.sockets[path] = venue
        self.routes.update(routes)


def build(seed: int, binance_terms: Terms, clock: Callable[[], float]) -> Venues:
    venues = Venues()
    bybit_market = VenueMarket(bybit.NAME, seed, bybit.FIRST_ID, clock)
    _add_bybit(venues, bybit_market)
    _add_binance(venues, VenueMarket(binance.NAME, seed, clock=clock), binance_terms)
    return venues


def _add_bybit(venues: Venues, market: VenueMarket) -> None:
    faults = Switches(bybit.NAME, SPOT)
    venue = Venue(market, Bybit(market, faults), faults, BYBIT_TERMS)
    venues.add(venue, BYBIT_PATH, {bybit_rest.PREFIX: BybitRest(venue).answer})


def _add_binance(venues: Venues, market: VenueMarket, terms: Terms) -> None:
    faults = Switches(binance.NAME, SPOT)
    dialect = Binance(market, faults)
    venue = Venue(market, dialect, faults, terms)
    venues.add(venue, BINANCE_PATH, {binance_rest.PREFIX: BinanceRest(venue, dialect).answer})
