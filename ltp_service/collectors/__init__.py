"""The exchanges beside Kraken whose trades and order books are collected."""

from collections.abc import Iterable

from ltp_service.collectors.binance import BinanceBooks, BinanceTrades
from ltp_service.collectors.books import BookCollector
from ltp_service.collectors.bybit import BybitBooks, BybitTrades
from ltp_service.collectors.trades import TradeCollector
from ltp_service.errors import ConfigError

COLLECTORS: dict[str, type[TradeCollector] | type[BookCollector]] = {
    "bybit_trades": BybitTrades,
    "binance_trades": BinanceTrades,
    "bybit_books": BybitBooks,
    "binance_books": BinanceBooks,
}
"""What COLLECTORS may name. An exchange more is a module and a line here."""


def check_collectors(names: Iterable[str]) -> None:
    """Raises ConfigError for names that are not in the registry."""
    unknown = [name for name in names if name not in COLLECTORS]
    if unknown:
        raise ConfigError(
            [f"COLLECTORS: {name!r} refused: must be among {', '.join(COLLECTORS)}" for name in unknown]
        )
