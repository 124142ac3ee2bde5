"""Joins the parts, the metrics and the HTTP layer into one application, and starts none of them."""

import os
from dataclasses import replace
from functools import partial

from flask import Flask

from ltp_service.assembly.services import assemble
from ltp_service.http import views as web
from ltp_service.http.access_log import open_access_log
from ltp_service.http.application import Application
from ltp_service.http.counted import count_prices, count_substitutes
from ltp_service.http.edge import Edge
from ltp_service.http.fast_lane import FastLane
from ltp_service.http.long_polls import LongPolls
from ltp_service.http.services import attach
from ltp_service.http.turns import Turns
from ltp_service.http.views.ltp import streamed
from ltp_service.metrics.counting import Metrics
from ltp_service.metrics.folder import shared_folder
from ltp_service.metrics.merged import write_report
from ltp_service.metrics.pairs import Report
from ltp_service.metrics.serving import Gauges, serve_metrics
from ltp_service.runtime.logs import LateLines, style_of
from ltp_service.runtime.pauses import Pauses
from ltp_service.runtime.runners import Runner
from ltp_service.runtime.runtime import Runtime
from ltp_service.runtime.spawn import socket_rounds, when_readable
from ltp_service.settings.config import Config


def create_app(config: Config, runtime: Runtime | None = None) -> Flask:
    """The service as a WSGI application; `services_of(app).start()` starts its feed. Raises ConfigError.

    `runtime` gives time and chance. Its meters are replaced by those that count.
    """
    metrics = Metrics()
    runtime = replace(runtime or Runtime(), meters=metrics)
    clock = runtime.clock

    def settle() -> None:
        edge.settle()
        metrics.settle()
        pause = Pauses(clock.monotonic, runtime.sleep)
        for question, count in lane.take_served():
            count_prices(metrics, question.supported, hit=True, times=count)
            pause()
        count_substitutes(metrics, lane.take_substituted())

    def show() -> Report:
        settle()
        return metrics.show(services)

    folder = shared_folder()

    def tell() -> None:
        if folder is None:  # no other worker shows these gauges, and a scrape sets them
            settle()
        else:
            write_report(show(), folder, os.getpid())

    access_log = open_access_log(config.log_level, style_of(config.log_format))
    beside: list[Runner] = [Gauges(tell), *([access_log] if access_log else []), LateLines(metrics)]
    services = assemble(config, runtime, beside)
    services.streams.sources.item = partial(streamed, services)
    lane = FastLane(config, services.prices.served, services.prices.store, services.prices.substitutes, clock)
    long_polls = LongPolls(services.prices.changes, clock.monotonic, services.draining, when_readable())
    services.at_the_end(long_polls.end)
    app = Application(__name__, static_folder=None)
    app.url_map.merge_slashes = False  # a path with `//` is a 404 and not a redirect with a page of HTML
    attach(app, services)
    serve_metrics(app, metrics, show, runtime)
    web.register(app)
    rounds = socket_rounds()
    edge = Edge(
        app.wsgi_app,
        services,
        lane,
        long_polls,
        access_log=access_log,
        turns=Turns(rounds, clock.monotonic, runtime.sleep) if rounds else None,
        routes=frozenset(rule.rule for rule in app.url_map.iter_rules()),
    )
    app.wsgi_app = edge  # type: ignore[method-assign]
    return app
