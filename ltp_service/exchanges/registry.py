"""What is told beside Kraken's prices: other exchanges' trades and last prices, and order books of all."""

from collections.abc import Callable

from ltp_service.exchanges.binance import BinanceBooks, BinanceTrades
from ltp_service.exchanges.bitstamp import BitstampLastTrades
from ltp_service.exchanges.bitstamp_rest import ask_newest
from ltp_service.exchanges.bybit import BybitBooks, BybitTrades
from ltp_service.exchanges.coinbase import CoinbaseLastTrades
from ltp_service.exchanges.kraken import is_v2
from ltp_service.exchanges.kraken_books import KrakenBooks, KrakenBooksV1
from ltp_service.feed.books import BookCollector
from ltp_service.feed.contract import Newest
from ltp_service.feed.last_trades import LastTradeCollector
from ltp_service.feed.trades import TradeCollector
from ltp_service.rest.http_client import HttpClient
from ltp_service.settings.config import Config

COLLECTORS: dict[str, type[TradeCollector] | type[BookCollector]] = {
    "bybit_trades": BybitTrades,
    "binance_trades": BinanceTrades,
    "bybit_books": BybitBooks,
    "binance_books": BinanceBooks,
    "kraken_books": KrakenBooks,
}
"""What COLLECTORS may name. An exchange more is a module and a line here."""

SOURCES: dict[str, type[LastTradeCollector]] = {
    "coinbase": CoinbaseLastTrades,
    "bitstamp": BitstampLastTrades,
}
"""What PRICE_SOURCES may name beside `kraken`, which is built apart because its prices are served."""

ASK_NEWEST: dict[str, Callable[[HttpClient, str, float, str], Newest]] = {"bitstamp": ask_newest}
"""The sources whose REST is asked for the newest trade of a symbol: with a client, the address, seconds and the symbol."""


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
