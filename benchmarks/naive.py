"""The same answer the way it is usually made: an extension for each need, each with its defaults."""

import logging
import sys
import time

from flask import Flask, Response, g, jsonify, request
from flask_cors import CORS
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from prometheus_client import CollectorRegistry
from prometheus_flask_exporter import PrometheusMetrics
from pythonjsonlogger.json import JsonFormatter

PRICES = {
    "BTC/USD": 115643,
    "BTC/EUR": 99420.1,
    "BTC/CHF": 91850.4,
    "BTC/CAD": 159937.7,
    "ETH/USD": 4215.33,
    "LTC/USD": 112.48,
    "XRP/USD": 2.81733,
}

app = Flask(__name__)
CORS(app)
PrometheusMetrics(app, registry=CollectorRegistry())
limiter = Limiter(get_remote_address, app=app, default_limits=["1000000/second"], storage_uri="memory://")

log = logging.getLogger("naive")
log.setLevel(logging.INFO)
log.propagate = False
_to_stdout = logging.StreamHandler(sys.stdout)
_to_stdout.setFormatter(JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
log.addHandler(_to_stdout)


@app.before_request
def start_timer() -> None:
    """For the log."""
    g.started_at = time.perf_counter()


@app.after_request
def log_request(response: Response) -> Response:
    """One line per request."""
    log.info(
        "HTTP request processed",
        extra={
            "http_method": request.method,
            "http_path": request.path,
            "http_status_code": response.status_code,
            "duration_ms": (time.perf_counter() - g.started_at) * 1000,
        },
    )
    return response


@app.get("/api/v1/ltp")
def last_prices() -> Response:
    """All prices."""
    return jsonify({"ltp": [{"pair": pair, "amount": amount} for pair, amount in PRICES.items()]})


@app.get("/health")
def health() -> Response:
    """Alive."""
    return jsonify({"status": "healthy"})
