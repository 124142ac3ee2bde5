"""The OpenAPI 3.1 document, put together from its areas.

A new area is one module here, with an Area, and one name in AREAS.
"""

from collections.abc import Iterator

from ltp_service.http.openapi.administration import ADMINISTRATION
from ltp_service.http.openapi.agents import AGENTS
from ltp_service.http.openapi.collecting import COLLECTING
from ltp_service.http.openapi.operation import COMMON_HEADERS, Area, Operation, problems
from ltp_service.http.openapi.operations import OPERATIONS
from ltp_service.http.openapi.pages import PAGES
from ltp_service.http.openapi.past import PAST
from ltp_service.http.openapi.prices import EXPLANATION, PRICES
from ltp_service.http.openapi.schemas import Node, components
from ltp_service.http.openapi.streaming import STREAMING
from ltp_service.version import VERSION

AREAS = (PRICES, EXPLANATION, PAST, STREAMING, AGENTS, COLLECTING, ADMINISTRATION, OPERATIONS, PAGES)
"""The areas in the order of the page."""

_ABOUT = """What was the last traded price of this pair, and may I trust it now?

`HEAD` works wherever `GET` does. A path without a route gets 404, and a method that the route does not have gets 405. Both
answers are described below `components`. A parameter that a route does not know gets 400, and so does a parameter that comes
twice and is no list. `pair[]` means `pair`. `/health` and `/ready` ignore all parameters. A body gets 400, except where the
operation describes one. Every route obeys `If-Match`, and answers 412 when it fails. Every error is an `Error`, and its `code`
does not change."""


def _header(about: str, schema: Node, *, required: bool = True) -> Node:
    return {"description": about, "schema": schema} | ({"required": True} if required else {})


_TEXT: Node = {"type": "string"}
_COUNT: Node = {"type": "integer", "minimum": 0}
_HEADERS = {
    "X-Request-ID": _header(
        "The request's own, when it matches [A-Za-z0-9._-]{8,64}, else a new one",
        _TEXT | {"pattern": "^[A-Za-z0-9._-]{8,64}$"},
    ),
    "ETag": _header("Changes exactly when the body would, or X-Price-Source", _TEXT),
    "X-Price-Source": _header(
        "The pairs whose price is another exchange's, because Kraken is silent: `BTC/USD=coinbase:websocket`, a comma"
        " list. After 50 pairs `+N` says how many more. Absent where every price is Kraken's",
        _TEXT,
        required=False,
    ),
    "Cache-Control": _header("How long the answer may be kept", _TEXT),
    "Vary": _header("The headers of the request that decide about the answer", _TEXT),
    "Link": _header('With rel="next": the next page; absent on the last one', _TEXT, required=False),
    "Retry-After": _header("Seconds after which to ask again", _COUNT | {"minimum": 1}),
    "Location": _header("Where it is, relative to this path", _TEXT),
    "Allow": _header("The methods that the route has", _TEXT),
    "WWW-Authenticate": _header("Names the header that the key goes into", _TEXT),
    "RateLimit-Limit": _header("Requests that may come at once", _COUNT, required=False),
    "RateLimit-Remaining": _header("Requests that may come now", _COUNT, required=False),
    "RateLimit-Reset": _header("Seconds until all may come at once again", _COUNT, required=False),
}


def query_parameters() -> dict[tuple[str, str], tuple[str, ...]]:
    """The names of the query parameters, by method and path, in the order of the document."""
    return {(method, path): operation.query() for method, path, _, operation in _operations()}


def body_readers() -> frozenset[tuple[str, str]]:
    """Method and path of the operations that read a body."""
    return frozenset((method, path) for method, path, _, operation in _operations() if operation.body)


def _operations() -> Iterator[tuple[str, str, Area, Operation]]:
    """Method, path, area and operation."""
    for area in AREAS:
        for route, operation in area.operations.items():
            method, path = route.split()
            yield method, path, area, operation


def _paths() -> Node:
    paths: Node = {}
    for method, path, area, operation in _operations():
        told = {"tags": [area.name], **operation.written_out(area.security)}
        paths.setdefault(path, {})[method.lower()] = told
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
