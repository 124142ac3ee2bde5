"""The composition root: builds every part once, top to bottom, and starts none."""

from flask import Flask

from ltp_service import web
from ltp_service.clock import Clock, SystemClock
from ltp_service.collectors.manager import CollectorManager
from ltp_service.config import Config
from ltp_service.edge.middleware import Edge
from ltp_service.metrics import Metrics
from ltp_service.services import Services, attach
from ltp_service.wiring import wire_prices


def create_app(config: Config, *, clock: Clock | None = None) -> Flask:
    """The service as a WSGI application; `services_of(app).start()` sets its feed going."""
    clock = clock or SystemClock()
    metrics = Metrics()
    prices = wire_prices(config, clock, metrics.observer)
    app = Flask(__name__)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    attach(
        app,
        Services(
            config=config,
            clock=clock,
            prices=prices,
            collectors={prices.kraken.name: prices.kraken} if prices.kraken else {},
            manager=CollectorManager(prices.runners),
            started_at=clock.monotonic(),
        ),
    )
    web.register(app)
    metrics.register(app)
    app.wsgi_app = Edge(app.wsgi_app, clock)  # type: ignore[method-assign]
    return app
