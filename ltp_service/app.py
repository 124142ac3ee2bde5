"""Builds every part once, top to bottom, and starts none."""

import secrets
import time

from flask import Flask

from ltp_service.assembly.collected import wire_trades
from ltp_service.assembly.keys import open_keyring
from ltp_service.assembly.limits import open_limiter
from ltp_service.assembly.prices import Sharing, open_line_if_asked, wire_prices
from ltp_service.assembly.services import Services, attach
from ltp_service.collected.symbols import SymbolReload
from ltp_service.http import views as web
from ltp_service.http.access_log import open_access_log
from ltp_service.http.counted import count_prices
from ltp_service.http.edge import Edge, EdgeParts
from ltp_service.http.fast_lane import FastLane
from ltp_service.http.headers import Cors
from ltp_service.http.long_polls import LongPolls
from ltp_service.http.turns import Turns
from ltp_service.keys.first_key import FirstKey
from ltp_service.keys.keyring import KeyReload
from ltp_service.limits.failures import FailureBudget
from ltp_service.metrics.counting import Metrics
from ltp_service.metrics.serving import Gauges, serve_metrics
from ltp_service.runtime.clock import Clock, SystemClock
from ltp_service.runtime.database import Database, DatabaseWatch
from ltp_service.runtime.logs import LateLines, style_of
from ltp_service.runtime.runners import CollectorManager, Runner
from ltp_service.runtime.spawn import socket_rounds, when_readable
from ltp_service.settings.config import Config


def create_app(config: Config, *, clock: Clock | None = None) -> Flask:
    """The service as a WSGI application; `services_of(app).start()` starts its feed. Raises ConfigError."""
    clock = clock or SystemClock()
    metrics = Metrics()
    database = Database(config.database_path, clock, time.sleep)
    # With Redis nothing is kept in the file.
    watch = DatabaseWatch(database) if config.cache_backend == "memory" else None
    line = open_line_if_asked(config, clock)
    redis = line.client if line else None
    trades = wire_trades(config, clock, metrics, database, line)
    sharing = Sharing(line, list(trades.collectors.values()), trades.topics) if line else None
    prices = wire_prices(config, clock, metrics, trades.witnesses.fresh_prices, sharing)
    limiter, limit_runners = open_limiter(config, clock.monotonic, redis)
    keyring = open_keyring(config, clock, database, redis)
    scope = "private" if config.auth_enabled else "public"
    lane = FastLane(prices.store, clock, config.cache_ttl, config.supported_pairs, scope)

    def show() -> None:
        metrics.show(services)
        for question, count in lane.take_served():
            count_prices(metrics, question.supported, hit=True, times=count)

    requests = open_access_log(config.log_level, style_of(config.log_format))
    runners: list[Runner] = [
        *prices.runners,
        *(() if sharing else trades.collectors.values()),
        KeyReload(keyring),
        SymbolReload(trades.symbols),
        *limit_runners,
        Gauges(show),
        *([requests] if requests else []),
        LateLines(metrics),
        *([watch] if watch else []),
    ]
    services = Services(
        config=config,
        clock=clock,
        prices=prices,
        trades=trades,
        collectors=({prices.kraken.name: prices.kraken} if prices.kraken else {}) | trades.collectors,
        manager=CollectorManager(runners),
        keyring=keyring,
        first_key=FirstKey(keyring, config.database_path, secrets.token_bytes),
        database=watch,
        key_failures=FailureBudget(clock.monotonic),
        meters=metrics,
        started_at=clock.monotonic(),
    )
    long_polls = LongPolls(prices.changes, clock.monotonic, services.draining, when_readable())
    services.at_the_end(long_polls.end)
    app = Flask(__name__, static_folder=None)
    app.url_map.merge_slashes = False  # a path with `//` is a 404 and not a redirect with a page of HTML
    attach(app, services)
    serve_metrics(app, metrics, show, clock.monotonic)
    web.register(app)
    rounds = socket_rounds()
    edge = EdgeParts(
        lane=lane,
        lane_is_open=not config.auth_enabled,
        long_polls=long_polls,
        limiter=limiter,
        cors=Cors(config.cors_origins),
        clock=clock,
        meters=metrics,
        access_log=requests,
        trusted_proxies=config.trusted_proxies,
        routes=frozenset(rule.rule for rule in app.url_map.iter_rules()),
        turns=Turns(rounds, clock.monotonic, time.sleep) if rounds else None,
    )
    app.wsgi_app = Edge(app.wsgi_app, edge)  # type: ignore[method-assign]
    return app
