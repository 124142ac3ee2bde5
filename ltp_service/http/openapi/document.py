"""The OpenAPI 3.1 document, put together from its areas.

A new area is one module here, with an Area, and one name in AREAS.
"""

from collections.abc import Iterator

from ltp_service.http.openapi.administration import ADMINISTRATION
from ltp_service.http.openapi.collecting import COLLECTING
from ltp_service.http.openapi.explanation import EXPLANATION
from ltp_service.http.openapi.operation import COMMON_HEADERS, Operation, problems
from ltp_service.http.openapi.operations import OPERATIONS
from ltp_service.http.openapi.pages import PAGES
from ltp_service.http.openapi.prices import PRICES
from ltp_service.http.openapi.schemas import Node, components
from ltp_service.version import VERSION

AREAS = (PRICES, EXPLANATION, COLLECTING, ADMINISTRATION, OPERATIONS, PAGES)
"""The areas in the order of the page."""

_ABOUT = """What was the last traded price of this pair, and may I trust it now?

`HEAD` works wherever `GET` does. A route that does not exist is 404, a method that it does not have 405; these two are
among the responses below `components`. A parameter that a route does not know is 400, and so is one that comes twice
where it is no list; `pair[]` means `pair`. On `/health` and `/ready` all parameters are ignored. A body is refused with
400 but where an operation describes one. `If-Match` is obeyed everywhere: 412 when it fails. Every error is an `Error`, and its `code` does not change."""

_COUNT: Node = {"type": "integer", "minimum": 0}
_HEADERS: dict[str, Node] = {
    "X-Request-ID": {
        "required": True,
        "description": "The request's own, when it matches [A-Za-z0-9._-]{8,64}, else a new one",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{8,64}$"},
    },
    "ETag": {
        "required": True,
        "description": "Changes exactly when the body would",
        "schema": {"type": "string"},
    },
    "Cache-Control": {
        "required": True,
        "description": "How long the answer may be kept",
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "required": True,
        "description": "Seconds after which to ask again",
        "schema": {"type": "integer", "minimum": 1},
    },
    "Location": {
        "required": True,
        "description": "Where it is, relative to this path",
        "schema": {"type": "string"},
    },
    "Allow": {
        "required": True,
        "description": "The methods that the route has",
        "schema": {"type": "string"},
    },
    "WWW-Authenticate": {
        "required": True,
        "description": "Names the header that the key goes into",
        "schema": {"type": "string"},
    },
    "RateLimit-Limit": {"description": "Requests that may come at once", "schema": _COUNT},
    "RateLimit-Remaining": {"description": "Requests that may come now", "schema": _COUNT},
    "RateLimit-Reset": {"description": "Seconds until all may come at once again", "schema": _COUNT},
}


def query_parameters() -> dict[tuple[str, str], tuple[str, ...]]:
    """The names of the query parameters, by method and path, in the order of the document."""
    return {(method, path): operation.query() for method, path, _, operation in _operations()}


def body_readers() -> frozenset[tuple[str, str]]:
    """Method and path of the operations that read a body."""
    return frozenset((method, path) for method, path, _, operation in _operations() if operation.body)


def _operations() -> Iterator[tuple[str, str, str, Operation]]:
    """Method, path, name of the area, and operation."""
    for area in AREAS:
        for route, operation in area.operations.items():
            method, path = route.split()
            yield method, path, area.name, operation


def _paths() -> Node:
    paths: Node = {}
    for method, path, area, operation in _operations():
        paths.setdefault(path, {})[method.lower()] = {"tags": [area], **operation.written_out()}
    return paths


def document() -> Node:
    """The whole document, built anew at each call."""
    unrouted = problems("NOT_FOUND", "METHOD_NOT_ALLOWED", headers=COMMON_HEADERS)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ltp_service",
            "version": VERSION,
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": area.name, "description": area.about} for area in AREAS],
        "paths": _paths(),
        "components": {
            "schemas": components(),
            # A wrong path or method is no operation.
            "responses": {"NotFound": unrouted[404], "MethodNotAllowed": unrouted[405]},
            "headers": _HEADERS,
            "securitySchemes": {
                "key": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-API-Key",
                    "description": "`ltp_…`, or AUTH_API_KEY",
                }
            },
        },
    }
