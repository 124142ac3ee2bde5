"""How an operation of the API is declared, and what the OpenAPI document says of it."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec

from ltp_service.http import shapes
from ltp_service.http.openapi.schemas import Node, schema
from ltp_service.http.problems import PROBLEMS

PUBLIC: tuple[Node, ...] = ()
"""Security of what never needs a key, and has no rate limit."""
OPEN_ROUTE: tuple[Node, ...] = ({}, {"key": []})
"""Security of what can do without a key: where AUTH_ENABLED is false, or on this machine; the description says so."""
KEYED_ROUTE: tuple[Node, ...] = ({"key": []},)
"""Security of what always needs a key."""

COMMON_HEADERS = ("X-Request-ID",)
LIMIT_HEADERS = (*COMMON_HEADERS, "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
_HEADERS_OF = {401: ("WWW-Authenticate",), 405: ("Allow",), 429: ("Retry-After",), 503: ("Retry-After",)}
"""What an error has beside them, by status."""

_OF_THE_QUESTION = ("INVALID_PARAMETER", "PRECONDITION_FAILED")
_OF_KEYS_AND_LIMITS = (
    *("API_KEY_MISSING", "API_KEY_INVALID", "PERMISSION_DENIED"),
    *("RATE_LIMIT_EXCEEDED", "CACHE_ERROR", "INTERNAL_ERROR"),
)


class Answer(msgspec.Struct, frozen=True):
    """One answer of an operation, or the body of a request."""

    about: str
    content: Any = None
    """The shape of its JSON, or schemas by media type; None where it has no body."""
    examples: dict[str, Any] = {}
    """By names for people."""
    headers: tuple[str, ...] = ()
    """Beside those of every answer of the operation."""
    csv: str = ""
    """An example of the same as CSV; empty where it is JSON alone."""


class Operation(msgspec.Struct, frozen=True):
    """One method of one route."""

    name: str
    summary: str
    description: str
    answers: dict[int, Answer]
    """By status, without the errors that have a code; one of a status that these have, too, is told in their place."""
    parameters: Sequence[Node] = ()
    problems: Sequence[str] | None = ()
    """Codes of its errors, beside those of every route; None for a route that is asked nothing."""
    security: tuple[Node, ...] | None = None
    """None: that of the area."""
    body: Answer | None = None
    needs_body: bool = False

    def written_out(self, security: tuple[Node, ...]) -> Node:
        """What the document says of it; `security` is that of the area."""
        security = security if self.security is None else self.security
        headers = LIMIT_HEADERS if security else COMMON_HEADERS
        answers: dict[int, Node] = {}
        if self.problems is not None:
            codes = _OF_KEYS_AND_LIMITS if security else ()
            answers = problems(*_OF_THE_QUESTION, *self.problems, *codes, headers=headers)
        answers |= {status: _answer(each, headers) for status, each in self.answers.items()}
        if security and self.query():
            too_long = Answer("Longer than 4094 bytes with all its parameters", shapes.Error)
            answers[414] = _answer(too_long, COMMON_HEADERS)  # gunicorn's own
        return {
            "operationId": self.name,
            "summary": self.summary,
            "description": self.description,
            "security": list(security),
            "responses": {str(status): node for status, node in sorted(answers.items())},
            **({"parameters": list(self.parameters)} if self.parameters else {}),
            **({"requestBody": _body(self.body, required=self.needs_body)} if self.body else {}),
        }

    def query(self) -> tuple[str, ...]:
        """The names of its query parameters."""
        return tuple(each["name"] for each in self.parameters if each["in"] == "query")


class Area(NamedTuple):
    """The operations that belong together, under one tag."""

    name: str
    about: str
    operations: dict[str, Operation]
    """By method and path, as in `GET /health`."""
    security: tuple[Node, ...] = OPEN_ROUTE


def query(name: str, schema: Node, about: str, **more: Any) -> Node:
    """A parameter of the query string."""
    return {"name": name, "in": "query", "schema": schema, "description": about, **more}


def in_path(name: str, schema: Node, **more: Any) -> Node:
    """A part of the path."""
    return {"name": name, "in": "path", "required": True, "schema": schema, **more}


def request_header(name: str, about: str) -> Node:
    """A header of a request."""
    return {"name": name, "in": "header", "schema": {"type": "string"}, "description": about}


def problems(*codes: str, headers: tuple[str, ...]) -> dict[int, Node]:
    """The answers for these codes, by status."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(PROBLEMS[code].status, []).append(code)
    return {status: _problem(status, group, headers) for status, group in by_status.items()}


def _problem(status: int, codes: list[str], headers: tuple[str, ...]) -> Node:
    examples = {code: {"summary": PROBLEMS[code].example, "value": _example(code)} for code in codes}
    content = {"application/json": {"schema": schema(shapes.Error), "examples": examples}}
    about = f"{HTTPStatus(status).phrase}: {', '.join(codes)}"
    return _answer(Answer(about, content, headers=_HEADERS_OF.get(status, ())), headers)


def _example(code: str) -> Any:
    return msgspec.to_builtins(shapes.Error(code, PROBLEMS[code].example, code, "9f86d081884c7d65-2a"))


def _answer(answer: Answer, headers: tuple[str, ...]) -> Node:
    dressed = {name: {"$ref": f"#/components/headers/{name}"} for name in (*headers, *answer.headers)}
    told: Node = {"description": answer.about, "headers": dressed}
    return told if answer.content is None else told | {"content": _content(answer)}


def _body(body: Answer, *, required: bool) -> Node:
    return {"description": body.about, "required": required, "content": _content(body)}


def _content(answer: Answer) -> Node:
    if isinstance(answer.content, dict):
        return answer.content
    examples = {
        re.sub("[^a-z0-9]+", "-", name.lower()): {"summary": name, "value": value}
        for name, value in answer.examples.items()
    }
    told = {
        "application/json": {"schema": schema(answer.content)} | ({"examples": examples} if examples else {})
    }
    if answer.csv:
        rows = {"rows": {"summary": "With its line of names", "value": answer.csv}}
        told["text/csv"] = {"schema": {"type": "string"}, "examples": rows}
    return told
