"""ltp_service.prices.other_markets"""

from decimal import Decimal

from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import Price, Source
from ltp_service.prices.memory import MemoryStore
from ltp_service.prices.other_markets import OtherMarkets, Substitutes
from ltp_service.prices.witness import Witness
from tests.fakes import BTC, FakeClock, memory_store, tick

TTL = 30.0
USDT = Pair("BTC", "USDT")
EXCHANGE: dict[str, Source] = {"coinbase": "coinbase:websocket", "bitstamp": "bitstamp:websocket"}


class Room:
    """Kraken's store, and those of two other exchanges of which the first is the preferred substitute."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.kraken = memory_store(self.clock)
        self.others = {name: memory_store(self.clock) for name in EXCHANGE}
        self.substitutes = Substitutes(self.kraken, list(self.others.values()), self.clock, TTL)
        self.witnesses: list[Witness] = []
        self.markets = OtherMarkets(
            self.kraken, self.others, lambda pair: self.witnesses if pair == USDT else [], 0.05, self.clock
        )

    def trade(self, price: str, exchange: str = "", pair: Pair = BTC) -> None:
        now = self.clock.monotonic()
        store: MemoryStore = self.others[exchange] if exchange else self.kraken
        source = EXCHANGE.get(exchange, "kraken:websocket")
        store.put(tick(price, pair, source=source, received_at=now, happened_at=now))

    def chosen(self, pair: Pair = BTC) -> str | None:
        price = self.substitutes.choose(pair, self.kraken.all().get(pair), self.clock.monotonic())
        return None if price is None else price.tick.price

    def served(self, pair: Pair = BTC) -> Price | None:
        return self.kraken.all().get(pair)


def test_the_first_fresh_exchange_stands_in_once_krakens_price_is_too_old() -> None:
    room = Room()
    room.trade("100")
    room.clock.advance(TTL)
    room.trade("102", "bitstamp")
    assert room.chosen() == "100"
    room.clock.advance(0.001)
    assert room.chosen() == "102"
    room.trade("101", "coinbase")
    assert room.chosen() == "101"


def test_krakens_first_evidence_ends_it_and_so_does_the_age_of_the_substitute() -> None:
    room = Room()
    room.trade("100")
    room.clock.advance(TTL + 1)
    room.trade("101", "coinbase")
    assert room.chosen() == "101"
    room.clock.advance(10.001)
    assert room.chosen() == "100"
    room.trade("101", "coinbase")
    room.kraken.confirm([BTC], room.clock.monotonic(), "kraken:rest")
    assert room.chosen() == "100"


def test_a_pair_that_was_never_seen_has_a_substitute_only_after_the_same_time() -> None:
    room = Room()
    room.trade("101", "coinbase")
    assert room.chosen() is None
    room.clock.advance(TTL + 0.001)
    room.trade("101", "coinbase")
    assert room.chosen() == "101"


def test_a_pair_that_kraken_does_not_list_is_no_part_of_the_consensus() -> None:
    room = Room()
    for exchange in ("", "coinbase", "bitstamp"):
        room.trade("100", exchange)
    room.kraken.set_pair_markets({BTC: "delisted"})
    found = room.markets.explain(BTC, room.served())

    assert found.consensus.exchanges == ("coinbase", "bitstamp")
    assert found.consensus.median is None


def test_kraken_has_the_same_time_for_a_pair_that_is_served_later() -> None:
    room = Room()
    room.substitutes.follow([USDT])
    room.clock.advance(10 * TTL)
    room.substitutes.follow([USDT, BTC])
    for pair in (USDT, BTC):
        room.trade("101", "coinbase", pair)
    assert (room.chosen(USDT), room.chosen()) == ("101", None)
    room.clock.advance(TTL + 0.001)
    room.trade("101", "coinbase")
    assert room.chosen() == "101"


def test_a_pair_that_kraken_does_not_list_has_no_substitute() -> None:
    room = Room()
    room.trade("100")
    room.kraken.set_pair_markets({BTC: "delisted"})
    room.clock.advance(TTL + 1)
    room.trade("101", "coinbase")
    assert room.chosen() == "100"


def test_another_quote_currency_never_stands_in_and_never_counts() -> None:
    room = Room()
    room.trade("100")
    room.clock.advance(TTL + 1)
    room.trade("101", "coinbase", USDT)
    room.witnesses = [Witness("bybit", Decimal(101), 0.0), Witness("binance", Decimal(101), 0.0)]

    assert room.chosen() == "100"
    assert room.markets.compare(BTC, room.served()) is None
    assert room.markets.explain(USDT, None).consensus.exchanges == ("coinbase", "bybit", "binance")


def test_a_price_is_not_compared_with_itself() -> None:
    room = Room()
    room.trade("100")
    room.trade("120", "coinbase")
    room.trade("121", "bitstamp")
    standing_in = room.others["coinbase"].all()[BTC]

    for served, deviating in ((standing_in, None), (room.served(), True)):
        assert room.markets.explain(BTC, served).deviating is deviating
        assert room.markets.deviates(BTC, served) is deviating
    room.clock.advance(10.001)
    assert room.markets.deviates(BTC, room.served()) is None
