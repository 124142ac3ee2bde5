"""Bitstamp's REST API: the newest trade of a symbol.

Source: bitstamp.net/api, "Transactions": those of the last minute, hour or day, each with a date in whole seconds.
"""

from ltp_service.domain.errors import Unlisted, Unreachable
from ltp_service.exchanges.bitstamp import CACHED_SECONDS, read_newest
from ltp_service.feed.contract import Newest
from ltp_service.rest.http_client import HttpClient


def ask_newest(http: HttpClient, base_url: str, timeout: float, symbol: str) -> Newest:
    """Asks for the trades of the last minute, within `timeout` seconds. Raises ExchangeError, Unlisted for a symbol that the
    exchange does not have."""
    url = f"{base_url}/transactions/{symbol}/"
    answer = http.get(url, {"time": "minute"}, timeout)
    if answer.status == 404:
        raise Unlisted(f"{url} answered HTTP 404: the exchange has no such market")
    if answer.status != 200:
        raise Unreachable(
            f"{url} answered HTTP {answer.status}", reason="http_status", retry_after=answer.retry_after
        )
    cached_for = CACHED_SECONDS if answer.cached_for is None else answer.cached_for
    return Newest(read_newest(symbol, answer.body), cached_for)
