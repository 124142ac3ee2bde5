"""How the service is, for people and dashboards."""

import os
from typing import Any

from flask import Blueprint, Response

from ltp_service.collectors.base import Link
from ltp_service.quotes.quotes import Quote
from ltp_service.services import Services, services
from ltp_service.version import VERSION
from ltp_service.web.answers import json_response, rfc3339

bp = Blueprint("status", __name__)

IN_ORDER = frozenset({"live", "quiet"})


@bp.get("/api/v1/status")
def status() -> Response:
    """The feed, the pairs and the process."""
    parts = services()
    quotes = parts.quotes.look(parts.config.supported_pairs)
    link = parts.collectors["kraken"].link() if "kraken" in parts.collectors else None
    wall = parts.clock.wall()
    return json_response(
        {
            "status": _overall(quotes),
            "connection": _connection(parts, quotes, link),
            "timestamp": int(wall),
            "timestamp_iso": rfc3339(wall),
            "pairs": {str(quote.pair): _pair(quote, link) for quote in quotes},
            "reconnects": max(0, link.attempts - 1) if link else 0,
            "uptime_s": round(parts.clock.monotonic() - parts.started_at, 3),
            "version": VERSION,
            "worker": {"pid": os.getpid(), "count": parts.config.web_concurrency},
            "tasks": parts.manager.states(),
        }
    )


def _overall(quotes: list[Quote]) -> str:
    if all(quote.verdict.state in IN_ORDER for quote in quotes):
        return "ok"
    return "degraded" if any(quote.verdict.servable for quote in quotes) else "down"


def _connection(parts: Services, quotes: list[Quote], link: Link | None) -> dict[str, Any]:
    last_frame_at = link.last_frame_at if link else None
    ago = parts.clock.monotonic() - last_frame_at if last_frame_at is not None else None
    return {
        "websocket_enabled": parts.config.kraken_websocket_enabled,
        "websocket_connected": link is not None and link.connected,
        "fallback_mode": any(quote.verdict.state == "fallback" for quote in quotes),
        "rest_available": False,
        "last_ws_update": rfc3339(parts.clock.wall() - ago) if ago is not None else None,
        "last_error": link.last_error if link else None,
    }


def _pair(quote: Quote, link: Link | None) -> dict[str, Any]:
    age = quote.verdict.age
    return {
        "state": quote.verdict.state,
        "age_ms": round(age * 1000) if age is not None else None,
        "last_error": None,
    }
