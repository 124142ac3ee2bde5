"""Routes for operating the service."""

from ltp_service.http import shapes
from ltp_service.http.openapi.operation import PUBLIC, Answer, Area, Operation, query
from ltp_service.http.openapi.schemas import Node

_TEXT: Node = {"type": "string"}
_NAMES: Node = {"type": "array", "items": _TEXT}

OPERATIONS = Area(
    "operations",
    "How the service is",
    {
        "GET /api/v1/status": Operation(
            "getStatus",
            "The feed, the pairs and the process",
            "200 whatever the state is: `status` says `ok`, `degraded` or `down`, and the rest says why.",
            {200: Answer("Also when the service is down", shapes.Status)},
        ),
        "GET /health": Operation(
            "getHealth",
            "Liveness: 200 while the process can answer",
            "Exchanges and Redis are shown, and decide nothing: a dead exchange is no reason for a restart.",
            {200: Answer("Alive", shapes.Health)},
            problems=None,
            security=PUBLIC,
        ),
        "GET /ready": Operation(
            "getReadiness",
            "Readiness: 200 while at least one pair can be served",
            "503 also from the moment that the process was told to end.",
            {
                200: Answer("Ready", shapes.Ready),
                503: Answer("Not now", shapes.Unready, headers=("Retry-After",)),
            },
            problems=None,
            security=PUBLIC,
        ),
        "GET /metrics": Operation(
            "getMetrics",
            "Prometheus text, the sum over all workers",
            "For Prometheus. Our names begin with `btc_ltp_`.",
            {200: Answer("Every metric", {"text/plain": {"schema": _TEXT}})},
            parameters=[query("name[]", _NAMES, "Ignored: every metric is always told")],
            security=PUBLIC,
        ),
    },
)
