"""Routes about this document."""

from ltp_service.http.icon import MEDIA_TYPE
from ltp_service.http.openapi.pieces import (
    COMMON_HEADERS,
    PUBLIC,
    TEXT,
    Area,
    Node,
    answer,
    in_path,
    json_content,
    one_of,
    operation,
    record,
)
from ltp_service.http.openapi.problems import OF_THE_QUESTION, problems
from ltp_service.http.openapi.swagger import FILES, INDEX, PAGE

_KEPT = (*COMMON_HEADERS, "ETag", "Cache-Control")


def pages() -> Area:
    """`/`, `/openapi.json`, `/docs` and its files, and what leads there."""
    return Area(
        "documentation",
        "What this is, and this document",
        {
            "/": {"get": _root()},
            "/favicon.ico": {"get": _favicon()},
            "/openapi.json": {"get": _openapi()},
            "/docs": {"get": _docs()},
            "/docs/{name}": {"get": _file()},
            "/swagger": {"get": _swagger()},
            "/swagger/{name}": {"get": _swagger_file()},
        },
        {},
    )


def _root() -> Node:
    links = dict.fromkeys(("docs", "openapi", "ltp", "status", "health", "metrics"), TEXT)
    body = record({"name": TEXT, "version": TEXT, "links": record(links)})
    return operation(
        "getRoot",
        "What this is and where to go",
        {"200": answer("Name, version and links", json_content(body))}
        | problems(*OF_THE_QUESTION, headers=COMMON_HEADERS),
        description="Needs no key and no place in the rate limit.",
        security=PUBLIC,
    )


def _favicon() -> Node:
    return operation(
        "getFavicon",
        "The icon of this service",
        _kept("The icon", {MEDIA_TYPE: {}}),
        description="What browsers ask for by themselves.",
        security=PUBLIC,
    )


def _openapi() -> Node:
    content = json_content({"type": "object"})
    return operation(
        "getOpenApi",
        "This document",
        _kept("OpenAPI 3.1", content),
        description="For programs, such as generators of clients.",
        security=PUBLIC,
    )


def _docs() -> Node:
    return operation(
        "getDocs",
        "This document, to read and to try",
        _kept("A page", {"text/html": {"schema": TEXT}}) | _leads("Asked with a slash at the end: the page"),
        description="Swagger UI, served from here: it needs no internet.",
        security=PUBLIC,
    )


def _file() -> Node:
    names = one_of(*sorted((FILES.keys() - {PAGE}) | {INDEX}))
    types = sorted({kind.partition(";")[0] for kind in FILES.values()})
    content: Node = {kind: {} if kind.startswith("image/") else {"schema": TEXT} for kind in types}
    return operation(
        "getDocsFile",
        "A file of the page",
        _kept("The file", content)
        | _leads(f"The page, where {INDEX} is asked")
        | problems("NOT_FOUND", headers=COMMON_HEADERS),
        description="Scripts, styles and licences.",
        security=PUBLIC,
        parameters=[in_path("name", names)],
    )


def _swagger() -> Node:
    return operation(
        "getSwagger",
        "Leads to `/docs`",
        _leads("The page") | problems(*OF_THE_QUESTION, headers=COMMON_HEADERS),
        description="For those who look where other services have the page.",
        security=PUBLIC,
    )


def _swagger_file() -> Node:
    name: Node = {"type": "string", "minLength": 1, "examples": ["index.html"]}
    return operation(
        "getSwaggerFile",
        "Leads to `/docs`, or to `/openapi.json` from a name that ends in .json",
        _leads("The page or this document") | problems(*OF_THE_QUESTION, headers=COMMON_HEADERS),
        description="For those who look where other services have the page.",
        security=PUBLIC,
        parameters=[in_path("name", name)],
    )


def _leads(about: str) -> dict[str, Node]:
    return {"301": answer(about, headers=(*COMMON_HEADERS, "Location", "Cache-Control"))}


def _kept(about: str, content: Node) -> dict[str, Node]:
    answers = {"200": answer(about, content, _KEPT), "304": answer("Nothing has changed", headers=_KEPT)}
    return answers | problems(*OF_THE_QUESTION, headers=COMMON_HEADERS)
