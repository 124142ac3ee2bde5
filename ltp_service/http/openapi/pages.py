"""Routes about this document."""

from ltp_service.http import shapes
from ltp_service.http.icon import MEDIA_TYPE
from ltp_service.http.openapi.operation import PUBLIC, Answer, Area, Operation, in_path, query
from ltp_service.http.openapi.schemas import Node, schema
from ltp_service.http.openapi.swagger import FILES, INDEX, PAGE
from ltp_service.page import CLIENT
from ltp_service.page import FILES as PAGE_FILES

_CACHED = ("ETag", "Cache-Control")
_TEXT: Node = {"schema": {"type": "string"}}


def _kinds(files: dict[str, str]) -> Node:
    kinds = sorted({kind.partition(";")[0] for kind in files.values()})
    return {kind: {} if kind.startswith("image/") else _TEXT for kind in kinds}


def _kept(about: str, content: Node) -> dict[int, Answer]:
    return {200: Answer(about, content, headers=_CACHED), 304: Answer("Nothing has changed", headers=_CACHED)}


def _leads(about: str) -> dict[int, Answer]:
    return {301: Answer(about, headers=("Location", "Cache-Control"))}


PAGES = Area(
    "documentation",
    "What this is, and this document",
    {
        "GET /": Operation(
            "getRoot",
            "What this is and where to go; the live page for people",
            "With `Accept: text/html` it is the page, else JSON. Needs no key and no place in the rate limit.",
            {
                200: Answer(
                    "Name, version and links, or the page",
                    {"application/json": {"schema": schema(shapes.Root)}, "text/html": _TEXT},
                ),
                304: Answer("The page has not changed", headers=_CACHED),
            },
            parameters=[
                query("kiosk", {"type": "string", "examples": ["BTC/USD"]}, "The page shows this pair alone"),
                query(
                    "theme",
                    {"type": "string", "examples": ["dark"]},
                    "The colours of the page: `dark` or `light`. Absent: those of the system",
                ),
            ],
        ),
        "GET /page/{name}": Operation(
            "getPageFile",
            "A file of the live page",
            "Scripts and its style.",
            _kept("The file", _kinds(PAGE_FILES)),
            parameters=[in_path("name", {"type": "string", "enum": sorted(PAGE_FILES)})],
            problems=["NOT_FOUND"],
        ),
        "GET /client.js": Operation(
            "getClient",
            "The stream as an ES module for other pages",
            "Pages of other origins may import it where CORS_ORIGINS names them.",
            _kept("The module", _kinds({"": CLIENT["client.js"]})),
        ),
        "GET /client.d.ts": Operation(
            "getClientTypes",
            "The types of that module",
            "For TypeScript.",
            _kept("The declarations", _kinds({"": CLIENT["client.d.ts"]})),
        ),
        "GET /favicon.ico": Operation(
            "getFavicon",
            "The icon of this service",
            "What browsers ask for by themselves.",
            _kept("The icon", {MEDIA_TYPE: {}}),
        ),
        "GET /openapi.json": Operation(
            "getOpenApi",
            "This document",
            "For programs, such as generators of clients.",
            _kept("OpenAPI 3.1", {"application/json": {"schema": {"type": "object"}}}),
        ),
        "GET /docs": Operation(
            "getDocs",
            "This document, to read and to try",
            "Swagger UI, served from here: it needs no internet.",
            _kept("A page", {"text/html": _TEXT}) | _leads("Asked with a slash at the end: the page"),
        ),
        "GET /docs/{name}": Operation(
            "getDocsFile",
            "A file of the page",
            "Scripts, styles and licences.",
            _kept("The file", _kinds(FILES)) | _leads(f"The page, where {INDEX} is asked"),
            parameters=[
                in_path("name", {"type": "string", "enum": sorted((FILES.keys() - {PAGE}) | {INDEX})})
            ],
            problems=["NOT_FOUND"],
        ),
        "GET /swagger": Operation(
            "getSwagger",
            "Leads to `/docs`",
            "Other services have their page at this path.",
            _leads("The page"),
        ),
        "GET /swagger/{name}": Operation(
            "getSwaggerFile",
            "Leads to `/docs`, or to `/openapi.json` from a name that ends in .json",
            "Other services have their page at this path.",
            _leads("The page or this document"),
            parameters=[in_path("name", {"type": "string", "minLength": 1, "examples": ["index.html"]})],
        ),
    },
    PUBLIC,
)
