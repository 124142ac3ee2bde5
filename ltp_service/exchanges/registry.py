"""What is collected beside Kraken's prices: trades and order books of other exchanges, and Kraken's order books."""

from ltp_service.exchanges.binance import BinanceBooks, BinanceTrades
from ltp_service.exchanges.bybit import BybitBooks, BybitTrades
from ltp_service.exchanges.kraken import is_v2
from ltp_service.exchanges.kraken_books import KrakenBooks, KrakenBooksV1
from ltp_service.feed.books import BookCollector
from ltp_service.feed.trades import TradeCollector
from ltp_service.settings.config import Config

COLLECTORS: dict[str, type[TradeCollector] | type[BookCollector]] = {
    "bybit_trades": BybitTrades,
    "binance_trades": BinanceTrades,
    "bybit_books": BybitBooks,
    "binance_books": BinanceBooks,
    "kraken_books": KrakenBooks,
}
"""What COLLECTORS may name. An exchange more is a module and a line here."""


def collector_of(name: str, config: Config) -> type[TradeCollector] | type[BookCollector]:
    """The collector of a name in COLLECTORS, in the protocol of the exchange's address."""
    kind = COLLECTORS[name]
    return KrakenBooksV1 if kind is KrakenBooks and not is_v2(config) else kind


def unknown_collectors(config: Config) -> list[str]:
    """One problem for each name in COLLECTORS that is not in the registry."""
    known = ", ".join(COLLECTORS)
    return [
        f"COLLECTORS: {name!r} refused: must be among {known}"
        for name in config.collectors
        if name not in COLLECTORS
    ]
