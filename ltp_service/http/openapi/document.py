"""The OpenAPI 3.1 document, put together from its areas.

A new area is one module here, with a function that returns an Area, and one name in AREAS.
"""

from ltp_service.http.openapi.administration import administration
from ltp_service.http.openapi.collecting import collecting
from ltp_service.http.openapi.explanation import explanation
from ltp_service.http.openapi.operations import operations
from ltp_service.http.openapi.pages import pages
from ltp_service.http.openapi.pieces import COUNT, TEXT, Area, Node
from ltp_service.http.openapi.prices import prices
from ltp_service.http.openapi.problems import SCHEMAS, unrouted
from ltp_service.version import VERSION

AREAS = (prices, explanation, collecting, administration, operations, pages)
"""The areas in the order of the page."""

_ABOUT = """What was the last traded price of this pair, and may I trust it now?

`HEAD` works wherever `GET` does. A route that does not exist is 404, a method that it does not have 405; these two are
among the responses below `components`. A parameter that a route does not know is 400, and so is one that comes twice
where it is no list; `pair[]` means `pair`. On `/health` and `/ready` all parameters are ignored. A body is refused with
400 but where an operation describes one. `If-Match` is obeyed everywhere: 412 when it fails. Every error is an `Error`, and its `code` does not change."""

_HEADERS: dict[str, Node] = {
    "X-Request-ID": {
        "required": True,
        "description": "The request's own, when it matches [A-Za-z0-9._-]{8,64}, else a new one",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{8,64}$"},
    },
    "ETag": {"required": True, "description": "Changes exactly when the body would", "schema": TEXT},
    "Cache-Control": {"required": True, "description": "How long the answer may be kept", "schema": TEXT},
    "Retry-After": {
        "required": True,
        "description": "Seconds after which to ask again",
        "schema": {"type": "integer", "minimum": 1},
    },
    "Location": {"required": True, "description": "Where it is, relative to this path", "schema": TEXT},
    "Allow": {"required": True, "description": "The methods that the route has", "schema": TEXT},
    "WWW-Authenticate": {
        "required": True,
        "description": "Names the header that the key goes into",
        "schema": TEXT,
    },
    "RateLimit-Limit": {"description": "Requests that may come at once", "schema": COUNT},
    "RateLimit-Remaining": {"description": "Requests that may come now", "schema": COUNT},
    "RateLimit-Reset": {"description": "Seconds until all may come at once again", "schema": COUNT},
}


def query_parameters() -> dict[tuple[str, str], tuple[str, ...]]:
    """The names of the query parameters, by method and path, in the order of the document."""
    return {
        (method.upper(), path): tuple(
            parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "query"
        )
        for area in AREAS
        for path, item in area().paths.items()
        for method, operation in item.items()
    }


def body_readers() -> frozenset[tuple[str, str]]:
    """Method and path of the operations that read a body."""
    return frozenset(
        (method.upper(), path)
        for area in AREAS
        for path, item in area().paths.items()
        for method, operation in item.items()
        if "requestBody" in operation
    )


def document() -> Node:
    """The whole document, built anew at each call."""
    areas = [area() for area in AREAS]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ltp_service",
            "version": VERSION,
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": area.name, "description": area.about} for area in areas],
        "paths": {path: _tagged(area, item) for area in areas for path, item in area.paths.items()},
        "components": {
            "schemas": SCHEMAS | {name: schema for area in areas for name, schema in area.schemas.items()},
            "responses": unrouted(),
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


def _tagged(area: Area, methods: Node) -> Node:
    return {method: {"tags": [area.name], **operation} for method, operation in methods.items()}
