"""The OpenAPI document, and a page that shows it."""

from functools import cache

from flask import Blueprint, Response, request
from msgspec import json

from ltp_service.domain.errors import NotFound
from ltp_service.http.answers import raw_response
from ltp_service.http.icon import MEDIA_TYPE, icon
from ltp_service.http.kept import DAY, MINUTES, file, kept
from ltp_service.http.openapi.document import document
from ltp_service.http.openapi.swagger import FILES, FOLDER, INDEX, PAGE
from ltp_service.http.request_note import note_of

bp = Blueprint("docs", __name__)


@bp.get("/openapi.json")
def openapi() -> Response:
    """The OpenAPI 3.1 document."""
    return kept(_document(), "application/json", MINUTES)


@bp.get("/docs")
def page() -> Response:
    """Swagger UI on that document, without a request to any other server."""
    note = note_of(request.environ)
    if not note.asked.endswith("/docs"):  # the page's links are relative: below /docs/ they would miss
        return _lead_to("docs")
    note.page = True
    return kept(file(FOLDER / PAGE), FILES[PAGE], MINUTES)


@bp.get("/docs/<name>")
def page_file(name: str) -> Response:
    """A file of the page."""
    if name == INDEX:
        return _lead_to("docs")
    if name not in FILES or name == PAGE:
        raise NotFound("the page has no such file; it is at /docs itself")
    return kept(file(FOLDER / name), FILES[name], MINUTES if name == "start.js" else DAY)


@bp.get("/favicon.ico")
def favicon() -> Response:
    """What browsers ask for by themselves."""
    return kept(_icon(), MEDIA_TYPE, DAY)


@bp.get("/swagger")
def swagger() -> Response:
    """Where other services have this page."""
    return _lead_to("docs")


@bp.get("/swagger/<path:name>")
def swagger_file(name: str) -> Response:
    """A page below it, or the document, as swaggo calls it."""
    return _lead_to("openapi.json" if name.endswith(".json") else "docs")


def _lead_to(name: str) -> Response:
    """To a route at the root: relative, because a proxy may serve all this below a path of its own."""
    up = "../" * (note_of(request.environ).asked.count("/") - 1)
    return raw_response(b"", 301, {"Location": f"{up}{name}", "Cache-Control": MINUTES})


@cache
def _document() -> bytes:
    return json.encode(document())


_icon = cache(icon)
