"""ltp_service.exchanges.binance_rest"""

import pytest

from ltp_service.exchanges.binance_rest import rest_url


@pytest.mark.parametrize(
    ("stream", "rest"),
    [
        ("wss://stream.binance.com:9443/stream", "https://api.binance.com"),
        ("wss://data-stream.binance.vision/stream", "https://data-api.binance.vision"),
        ("ws://127.0.0.1:4711/binance/stream", "http://127.0.0.1:4711"),
        ("wss://proxy.example:8443/stream", "https://proxy.example:8443"),
    ],
)
def test_snapshots_come_from_the_exchanges_rest_host_or_where_the_stream_does(stream: str, rest: str) -> None:
    assert rest_url(stream) == rest
