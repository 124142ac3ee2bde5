"""What a person finds who knows the address alone: the page; programs get name, version and links."""

from flask import Blueprint, Response, request
from werkzeug.datastructures import MIMEAccept

from ltp_service.domain.errors import NotFound
from ltp_service.http import shapes
from ltp_service.http.answers import json_response
from ltp_service.http.kept import MINUTES, file, kept
from ltp_service.http.request_note import note_of
from ltp_service.page import CLIENT, FILES, FOLDER, PAGE, WORKER
from ltp_service.version import VERSION

bp = Blueprint("root", __name__)

LINKS = shapes.Links(
    docs="/docs",
    openapi="/openapi.json",
    ltp="/api/v1/ltp",
    status="/api/v1/status",
    stream="/api/v1/stream",
    health="/health",
    metrics="/metrics",
)
"""Where to go from here."""

HTML = "text/html"


@bp.get("/")
def root() -> Response:
    """The page where text/html is asked for, else name, version and links."""
    if wants_page(request.accept_mimetypes):
        note_of(request.environ).page = True
        response = kept(file(FOLDER / PAGE), f"{HTML}; charset=utf-8", MINUTES)
    else:
        response = json_response(shapes.Root("ltp_service", VERSION, LINKS))
    response.headers["Vary"] = "Accept"
    return response


@bp.get("/page/<name>")
def page_file(name: str) -> Response:
    """A file of the page."""
    if name not in FILES:
        raise NotFound("the page has no such file; it is at / itself")
    note_of(request.environ).page = name == WORKER
    return kept(file(FOLDER / name), FILES[name], MINUTES)


@bp.get("/client.js")
def client() -> Response:
    """The stream for other pages."""
    return _client("client.js")


@bp.get("/client.d.ts")
def client_types() -> Response:
    """Its types."""
    return _client("client.d.ts")


def _client(name: str) -> Response:
    return kept(file(FOLDER / name), CLIENT[name], MINUTES)


def wants_page(accepted: MIMEAccept) -> bool:
    """Whether HTML is asked for by its name, as browsers do, and is not liked less than JSON: `*/*` gets JSON."""
    named = any(kind.lower().startswith((HTML, "text/*")) and quality for kind, quality in accepted)
    return named and accepted[HTML] >= accepted["application/json"]
