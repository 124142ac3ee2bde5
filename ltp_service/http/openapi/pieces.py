"""Repeated pieces of the OpenAPI document: schemas, parameters, answers."""

import re
from typing import Any, NamedTuple

Node = dict[str, Any]
"""A JSON object of the document."""


class Area(NamedTuple):
    """The routes that belong together, under one tag."""

    name: str
    about: str
    paths: dict[str, Node]
    """Path to method to operation."""
    schemas: dict[str, Node]
    """The schemas that the operations refer to, by name."""


PUBLIC: list[Node] = []
"""Security of what never needs a key."""
OPEN_ROUTE: list[Node] = [{}, {"key": []}]
"""Security of what can do without a key: where AUTH_ENABLED is false, or on this machine; the description says so."""
KEYED_ROUTE: list[Node] = [{"key": []}]
"""Security of what always needs a key."""

# Schemas.

NULL: Node = {"type": "null"}
TEXT: Node = {"type": "string"}
FLAG: Node = {"type": "boolean"}
COUNT: Node = {"type": "integer", "minimum": 0}
SECONDS: Node = {"type": "number", "minimum": 0, "description": "Seconds"}
MILLISECONDS: Node = {"type": "integer", "minimum": 0}
MOMENT: Node = {"type": "string", "format": "date-time", "examples": ["2026-11-21T00:46:21.123456Z"]}
PAIR: Node = {"type": "string", "pattern": "^[A-Z0-9.]+/[A-Z0-9.]+$", "examples": ["BTC/USD"]}


def record(properties: Node, **more: Any) -> Node:
    """An object with exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
        **more,
    }


def mapping(values: Node, about: str) -> Node:
    """An object with names as keys."""
    return {"type": "object", "additionalProperties": values, "description": about}


def listing(items: Node, **more: Any) -> Node:
    """An array."""
    return {"type": "array", "items": items, **more}


def one_of(*words: str, **more: Any) -> Node:
    """One of these words."""
    return {"type": "string", "enum": list(words), **more}


def maybe(schema: Node, why_null: str) -> Node:
    """A value that may be null; `why_null` says when."""
    return {"anyOf": [schema, NULL], "description": f"Null {why_null}"}


TRADED_AT = maybe(MOMENT, "where the exchange does not give it")
TRADE_ID = maybe({"type": "integer"}, "where the exchange does not give it")


def schema(name: str) -> Node:
    """A named schema."""
    return {"$ref": f"#/components/schemas/{name}"}


# Parameters.


def query(name: str, schema: Node, about: str, **more: Any) -> Node:
    """A parameter of the query string."""
    return {"name": name, "in": "query", "schema": schema, "description": about, **more}


def in_path(name: str, schema: Node, **more: Any) -> Node:
    """A part of the path."""
    return {"name": name, "in": "path", "required": True, "schema": schema, **more}


def request_header(name: str, schema: Node, about: str) -> Node:
    """A header of a request."""
    return {"name": name, "in": "header", "schema": schema, "description": about}


# Answers.

COMMON_HEADERS = ("X-Request-ID",)
LIMIT_HEADERS = (*COMMON_HEADERS, "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")


def answer(about: str, content: Node | None = None, headers: tuple[str, ...] = COMMON_HEADERS) -> Node:
    """One answer of an operation; `content` by media type."""
    dressed = {name: {"$ref": f"#/components/headers/{name}"} for name in headers}
    return {"description": about, "headers": dressed} | ({"content": content} if content else {})


def json_content(schema: Node, examples: dict[str, Any] | None = None) -> Node:
    """A JSON body, with examples by their names."""
    named = {
        re.sub("[^a-z0-9]+", "-", name.lower()): {"summary": name, "value": value}
        for name, value in (examples or {}).items()
    }
    return {"application/json": {"schema": schema} | ({"examples": named} if named else {})}


def success(about: str, schema: Node) -> dict[str, Node]:
    """200 with that JSON, within the rate limit."""
    return {"200": answer(about, json_content(schema), LIMIT_HEADERS)}


def operation(
    name: str,
    summary: str,
    responses: dict[str, Node],
    *,
    description: str,
    security: list[Node],
    **more: Any,
) -> Node:
    """One method of one route. `security` is one of PUBLIC, OPEN and KEYED."""
    told = {"operationId": name, "summary": summary, "description": description, "security": security}
    return told | {"responses": responses, **more}
