"""Binance's REST API: the order books that its stream changes.

Source: github.com/binance/binance-spot-api-docs, rest-api.md
"""

from urllib.parse import urlsplit

from ltp_service.domain.book import BookSnapshot
from ltp_service.domain.errors import Unreachable
from ltp_service.exchanges.binance import DEPTH_PATH, read_depth
from ltp_service.rest.http_client import HttpClient

_REST_HOSTS = {
    "stream.binance.com": "https://api.binance.com",
    "data-stream.binance.vision": "https://data-api.binance.vision",
}


def rest_url(stream_url: str) -> str:
    """The REST address of the exchange that streams at `stream_url`: another host, or the same one."""
    parts = urlsplit(stream_url)
    same = f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc}"
    return _REST_HOSTS.get(parts.hostname or "", same)


def ask_depth(http: HttpClient, base_url: str, timeout: float, symbol: str) -> BookSnapshot:
    """Asks for one order book, within `timeout` seconds. Raises ExchangeError."""
    url = f"{base_url}{DEPTH_PATH}"
    answer = http.get(url, {"symbol": symbol, "limit": "1000"}, timeout)
    if answer.status != 200:
        raise Unreachable(
            f"{url} answered HTTP {answer.status}", reason="http_status", retry_after=answer.retry_after
        )
    return read_depth(symbol, answer.body)
