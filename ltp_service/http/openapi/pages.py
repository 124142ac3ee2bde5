"""Routes about this document."""

from ltp_service.http.openapi.pieces import (
    COMMON_HEADERS,
    TEXT,
    Area,
    Node,
    answer,
    in_path,
    json_content,
    one_of,
    operation,
)
from ltp_service.http.openapi.problems import OF_THE_QUESTION, problems
from ltp_service.http.openapi.swagger import FILES, PAGE

_KEPT = (*COMMON_HEADERS, "ETag", "Cache-Control")


def pages() -> Area:
    """`/openapi.json`, `/docs` and its files."""
    return Area(
        "documentation",
        "This document",
        {
            "/openapi.json": {"get": _openapi()},
            "/docs": {"get": _docs()},
            "/docs/{name}": {"get": _file()},
        },
        {},
    )


def _openapi() -> Node:
    content = json_content({"type": "object"})
    return operation("getOpenApi", "This document", _kept("OpenAPI 3.1", content))


def _docs() -> Node:
    return operation(
        "getDocs", "This document, to read and to try", _kept("A page", {"text/html": {"schema": TEXT}})
    )


def _file() -> Node:
    names = one_of(*sorted(FILES.keys() - {PAGE}))
    types = sorted({kind.partition(";")[0] for kind in FILES.values()})
    content: Node = {kind: {} if kind.startswith("image/") else {"schema": TEXT} for kind in types}
    return operation(
        "getDocsFile",
        "A file of the page",
        _kept("The file", content) | problems("NOT_FOUND", headers=COMMON_HEADERS),
        parameters=[in_path("name", names)],
    )


def _kept(about: str, content: Node) -> dict[str, Node]:
    answers = {"200": answer(about, content, _KEPT), "304": answer("Nothing has changed", headers=_KEPT)}
    return answers | problems(*OF_THE_QUESTION, headers=COMMON_HEADERS)
