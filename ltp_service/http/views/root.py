"""What a person finds who knows the address alone."""

from flask import Blueprint, Response

from ltp_service.http import shapes
from ltp_service.http.answers import json_response
from ltp_service.version import VERSION

bp = Blueprint("root", __name__)

LINKS = shapes.Links(
    docs="/docs",
    openapi="/openapi.json",
    ltp="/api/v1/ltp",
    status="/api/v1/status",
    health="/health",
    metrics="/metrics",
)
"""Where to go from here."""


@bp.get("/")
def root() -> Response:
    """Name, version and links."""
    return json_response(shapes.Root("ltp_service", VERSION, LINKS))
