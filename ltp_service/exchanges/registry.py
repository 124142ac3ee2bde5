"""The exchanges beside Kraken whose trades and order books are collected."""

from ltp_service.exchanges.binance import BinanceBooks, BinanceTrades
from ltp_service.exchanges.bybit import BybitBooks, BybitTrades
from ltp_service.feed.books import BookCollector
from ltp_service.feed.trades import TradeCollector
from ltp_service.settings.config import Config

COLLECTORS: dict[str, type[TradeCollector] | type[BookCollector]] = {
    "bybit_trades": BybitTrades,
    "binance_trades": BinanceTrades,
    "bybit_books": BybitBooks,
    "binance_books": BinanceBooks,
}
"""What COLLECTORS may name. An exchange more is a module and a line here."""


def unknown_collectors(config: Config) -> list[str]:
    """One problem for each name in COLLECTORS that is not in the registry."""
    known = ", ".join(COLLECTORS)
    return [
        f"COLLECTORS: {name!r} refused: must be among {known}"
        for name in config.collectors
        if name not in COLLECTORS
    ]
