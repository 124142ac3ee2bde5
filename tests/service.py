"""The whole service in this process, with nothing started and no way out: a fresh one for each test."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from ltp_service.app import create_app
from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import WEBSOCKET
from ltp_service.http.edge import Edge
from ltp_service.http.services import services_of
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import Config
from tests.fakes import BTC, FakeClock, tick

NOWHERE = "127.0.0.1:9"
"""No server listens there, so a second source is refused at once."""


class FreshService:
    """An app on a fake clock, and what a test does to it."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.clock = FakeClock()
        config = Config(
            **{
                "kraken_websocket_url": f"ws://{NOWHERE}/v2",
                "kraken_rest_url": f"http://{NOWHERE}/0/public",
                "kraken_max_retries": 0,
                "database_path": folder / "ltp.sqlite3",
                "history_url": f"sqlite:{folder / 'history.sqlite3'}",
                "log_format": "json",  # also where pytest itself writes to a terminal
                **settings,
            }
        )
        self.app = create_app(config, Runtime(self.clock))
        self.client: FlaskClient = self.app.test_client()
        self.services = services_of(self.app)
        self.store = self.services.prices.store

    def trade(self, price: str, pair: Pair = BTC, **more: Any) -> None:
        """A trade arrives now."""
        now = self.clock.monotonic()
        self.store.put(tick(price, pair, **{"received_at": now, "happened_at": now, **more}))

    def trade_elsewhere(self, exchange: str, price: str, pair: Pair = BTC, **more: Any) -> None:
        """A trade on another exchange of PRICE_SOURCES arrives now."""
        now = self.clock.monotonic()
        source = f"{exchange}:websocket"
        told = tick(price, pair, **{"source": source, "received_at": now, "happened_at": now, **more})
        self.services.prices.sources[exchange].put(told)

    def heartbeat(self, *pairs: Pair) -> None:
        """The feed is alive now, and these pairs' subscriptions with it."""
        self.store.confirm(pairs, self.clock.monotonic(), WEBSOCKET)

    def write_log(self) -> None:
        """The lines of all requests so far are written now."""
        edge = self.app.wsgi_app
        assert isinstance(edge, Edge)
        assert edge._access_log is not None  # noqa: SLF001 - no other part has it, and no runner runs here
        edge._access_log.settle()  # noqa: SLF001

    def get(self, path: str, **headers: str) -> TestResponse:
        """The answer to a GET; underscores in header names become dashes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.get(path, headers=named)


def amounts(answer: TestResponse) -> dict[str, str]:
    """Pair to the digits of its amount, as they are in the body."""
    return dict(re.findall(r'"pair":"([^"]+)","amount":([^,}]+)', answer.get_data(as_text=True)))


MakeService = Callable[..., FreshService]
"""Makes one with other settings, given by field name."""


def refusal(answer: TestResponse) -> tuple[int, str]:
    """Status and code."""
    return answer.status_code, answer.get_json()["code"]
