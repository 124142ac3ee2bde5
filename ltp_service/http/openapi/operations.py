"""Routes for operating the service."""

from ltp_service.http.openapi.pieces import (
    COMMON_HEADERS,
    COUNT,
    FLAG,
    MILLISECONDS,
    MOMENT,
    OPEN_ROUTE,
    PUBLIC,
    SECONDS,
    TEXT,
    Area,
    Node,
    answer,
    json_content,
    listing,
    mapping,
    maybe,
    one_of,
    operation,
    query,
    record,
    schema,
    success,
)
from ltp_service.http.openapi.problems import OF_THE_QUESTION, error_answers, problems


def operations() -> Area:
    """`/api/v1/status`, `/health`, `/ready`, `/metrics`."""
    return Area(
        "operations",
        "How the service is",
        {
            "/api/v1/status": {"get": _status()},
            "/health": {"get": _health()},
            "/ready": {"get": _ready()},
            "/metrics": {"get": _metrics()},
        },
        _schemas(),
    )


def _status() -> Node:
    return operation(
        "getStatus",
        "The feed, the pairs and the process",
        success("Also when the service is down", schema("Status")) | error_answers(),
        description="200 whatever the state is: `status` says `ok`, `degraded` or `down`, and the rest says why.",
        security=OPEN_ROUTE,
    )


def _health() -> Node:
    return operation(
        "getHealth",
        "Liveness: 200 while the process can answer",
        {"200": answer("Alive", json_content(schema("Health")))},
        description="Exchanges and Redis are shown, and decide nothing: a dead exchange is no reason for a restart.",
        security=PUBLIC,
    )


def _ready() -> Node:
    not_ready = answer("Not now", json_content(schema("Unready")), ("X-Request-ID", "Retry-After"))
    return operation(
        "getReadiness",
        "Readiness: 200 while at least one pair can be served",
        {"200": answer("Ready", json_content(schema("Ready"))), "503": not_ready},
        description="503 also from the moment that the process was told to end.",
        security=PUBLIC,
    )


def _metrics() -> Node:
    return operation(
        "getMetrics",
        "Prometheus text, the sum over all workers",
        {"200": answer("Every metric", {"text/plain": {"schema": TEXT}})}
        | problems(*OF_THE_QUESTION, headers=COMMON_HEADERS),
        description="For Prometheus. Our names begin with `btc_ltp_`.",
        security=PUBLIC,
        parameters=[query("name[]", listing(TEXT), "Ignored: every metric is always told")],
    )


def _schemas() -> dict[str, Node]:
    return {
        "Status": record(_status_properties()),
        "Connection": record(
            {
                "websocket_enabled": FLAG,
                "websocket_connected": FLAG,
                "fallback_mode": FLAG,
                "rest_available": FLAG,
                "last_ws_update": maybe(MOMENT, "before the first frame"),
                "feed_lag_ms": maybe(COUNT, "without a feed of its own")
                | {"description": "By how much what the feed sends is late; the prices' ages count it"},
                "last_error": maybe(TEXT, "when there was none"),
                "rest_last_error": maybe(TEXT, "when there was none"),
                "websocket_reached": TEXT
                | {"description": "`direct`, or the proxy between, without its password"},
                "rest_reached": TEXT
                | {"description": "`direct`, or the proxy between, without its password"},
            }
        ),
        "PairStatus": record(
            {
                "state": schema("State"),
                "age_ms": maybe(MILLISECONDS, "when the pair was never seen"),
                "last_error": maybe(TEXT, "when there is none"),
            }
        ),
        "Task": record(
            {"name": TEXT, "alive": FLAG, "restarts": COUNT, "last_error": maybe(TEXT, "when there was none")}
        ),
        "Fleet": record(
            {
                "role": one_of("owner", "follower"),
                "in_step": FLAG,
                "owner": maybe(TEXT, "before Redis told"),
                "epoch": COUNT,
            }
        ),
        "Health": _probe("healthy", mapping(TEXT, "The state of each part, as information")),
        "Ready": _probe("ready", _CHECKED),
        "Unready": _probe("unhealthy", _CHECKED, reasons=listing(TEXT, minItems=1)),
    }


_CHECKED = record({"cache": TEXT, "service": TEXT, "database": TEXT}, required=["cache", "service"])


def _probe(status: str, services: Node, **more: Node) -> Node:
    return record({"status": {"const": status}, "timestamp": MOMENT, "services": services, **more})


def _status_properties() -> dict[str, Node]:
    return {
        "status": one_of("ok", "degraded", "down"),
        "connection": schema("Connection"),
        "timestamp": {"type": "integer", "description": "Unix seconds"},
        "timestamp_iso": MOMENT,
        "market": schema("Market"),
        "pairs": mapping(schema("PairStatus"), "By pair"),
        "breaker": schema("Breaker"),
        "divergences": mapping(schema("Divergence"), "By pair"),
        "reconnects": COUNT,
        "uptime_s": SECONDS,
        "version": TEXT,
        "worker": record({"pid": COUNT, "count": COUNT}),
        "fleet": maybe(schema("Fleet"), "where each process keeps to itself"),
        "database": maybe(
            record({"usable": FLAG, "error": maybe(TEXT, "while it is usable")}),
            "where keys are kept in Redis",
        ),
        "tasks": listing(schema("Task")),
    }
