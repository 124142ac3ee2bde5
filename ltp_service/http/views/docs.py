"""The OpenAPI document, and a page that shows it."""

from functools import cache

from flask import Blueprint, Response, request
from msgspec import json
from werkzeug.exceptions import NotFound

from ltp_service.http.answers import raw_response
from ltp_service.http.ltp_body import etag, matches
from ltp_service.http.openapi.document import document
from ltp_service.http.openapi.swagger import FILES, FOLDER, PAGE
from ltp_service.http.request_note import note_of

bp = Blueprint("docs", __name__)

_MINUTES = "public, max-age=300"
"""For files that change with a release of this service."""
_DAY = "public, max-age=86400"
"""For files that change with a release of Swagger UI."""


@bp.get("/openapi.json")
def openapi() -> Response:
    """The OpenAPI 3.1 document."""
    return _kept(_document(), "application/json", _MINUTES)


@bp.get("/docs")
def page() -> Response:
    """Swagger UI with the OpenAPI document; it loads nothing from other hosts."""
    note_of(request.environ).page = True
    return _kept(_file(PAGE), FILES[PAGE], _MINUTES)


@bp.get("/docs/<name>")
def file(name: str) -> Response:
    """A file of the page."""
    if name not in FILES or name == PAGE:
        raise NotFound
    return _kept(_file(name), FILES[name], _MINUTES if name == "start.js" else _DAY)


def _kept(content: bytes, content_type: str, cache_control: str) -> Response:
    tag = _tag(content)
    headers = {"ETag": tag, "Cache-Control": cache_control, "Content-Type": content_type}
    if matches(request.headers.get("If-None-Match"), tag):
        return raw_response(b"", 304, headers)
    return raw_response(content, headers=headers)


@cache
def _document() -> bytes:
    return json.encode(document())


@cache
def _file(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


_tag = cache(etag)
