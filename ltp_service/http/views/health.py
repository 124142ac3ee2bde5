"""Is the process alive, and may traffic be sent to it?"""

from flask import Blueprint, Response
from msgspec import UNSET

from ltp_service.assembly.services import Services
from ltp_service.domain.errors import StoreUnavailable
from ltp_service.http import shapes
from ltp_service.http.answers import RETRY_AFTER_SECONDS, json_response, rfc3339
from ltp_service.http.services import services

bp = Blueprint("health", __name__)


@bp.get("/health")
def health() -> Response:
    """Liveness: 200 while the process can answer. Exchanges appear as information only."""
    parts = services()
    link: dict[str, str] = {name: link.state for name, link in parts.links().items()}
    if parts.prices.fleet is not None:
        link["redis"] = "in step" if parts.prices.fleet.follower.in_step() else "out of reach"
    return json_response(
        shapes.Health("healthy", rfc3339(parts.clock.wall()), {"service": "running", **link})
    )


@bp.get("/ready")
def ready() -> Response:
    """Readiness: 200 when the store answers and at least one pair can be served."""
    parts = services()
    problems = _problems(parts)
    checked = shapes.Checked(
        cache=_state(problems.get("cache")),
        service=_state(problems.get("service")),
        # For information: prices are served without it.
        database=UNSET if parts.database is None else _state(parts.database.problem),
    )
    now = rfc3339(parts.clock.wall())
    if not problems:
        return json_response(shapes.Ready("ready", now, checked))
    return json_response(
        shapes.Unready("unhealthy", now, checked, list(problems.values())),
        503,
        {"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


def _state(problem: str | None) -> str:
    return f"error: {problem}" if problem else "ready"


def _problems(parts: Services) -> dict[str, str]:
    problems = {}
    try:
        parts.prices.store.ping()
    except StoreUnavailable as error:
        problems["cache"] = str(error)
    if parts.draining():
        problems["service"] = "shutting down"
    elif not parts.prices.quotes.can_serve(parts.prices.served.pairs):
        problems["service"] = "no pair has a price that can be served"
    return problems
