"""What a collector dials, asks and waits with."""

from collections.abc import Callable
from functools import partial

from ltp_service.domain.book import BookSnapshot
from ltp_service.feed.backoff import Backoff
from ltp_service.feed.connection import WebSocketConnection
from ltp_service.feed.contract import Equipment, Newest
from ltp_service.feed.dialing import Dialer
from ltp_service.rest.http_client import HttpClient
from ltp_service.runtime.clock import Clock
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import Config
from ltp_service.version import VERSION

LONGEST_READ_SECONDS = 0.2
"""Seconds that a read of the WebSocket waits at most, before silence and the order to stop are checked."""

ADVICE_WITHOUT_A_NETWORK = "`ltp demo`, or `make demo` in a checkout, runs the service without a network"
"""Told when an exchange cannot be reached. A program that uses LastPrices is not told so."""


def open_http(clock: Clock) -> HttpClient:
    """A client of an exchange's REST, with the service's name."""
    return HttpClient(clock, f"ltp_service/{VERSION}")


def equip(
    config: Config,
    url: str,
    backoff: Backoff,
    runtime: Runtime,
    depth: Callable[[str], BookSnapshot] | None = None,
    newest: Callable[[str], Newest] | None = None,
    advice: str = ADVICE_WITHOUT_A_NETWORK,
) -> Equipment:
    """The equipment of a collector of the stream at `url`."""
    dialer = Dialer(url, timeout=config.kraken_websocket_timeout)
    connect = partial(WebSocketConnection, dialer, poll_interval=LONGEST_READ_SECONDS)
    return Equipment(connect, backoff, runtime, config.kraken_idle_timeout, depth, newest, advice)
