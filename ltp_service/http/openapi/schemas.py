"""The schemas of the OpenAPI document, read from the shapes of the answers."""

import ast
import sys
from collections.abc import Callable
from functools import cache
from inspect import getdoc, getsource
from itertools import pairwise
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, structs

from ltp_service.http import shapes

Node = dict[str, Any]
"""A JSON object of the document."""

_TYPES = {bool: "boolean", float: "number", int: "integer", str: "string", NoneType: "null"}
_KEYWORDS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "min_length": "minLength",
    "max_length": "maxLength",
    "pattern": "pattern",
    "description": "description",
    "examples": "examples",
}
"""Attributes of a Meta, with their names in JSON Schema; the lengths are those of texts."""


def components() -> dict[str, Node]:
    """The schema of every shape that has a name, by that name."""
    return {name: _written_out(kind) for kind in vars(shapes).values() if (name := _name_of(kind))}


def schema(kind: Any) -> Node:
    """The schema of a type: a reference where it has a name."""
    name = _name_of(kind)
    return {"$ref": f"#/components/schemas/{name}"} if name else _written_out(kind)


def _name_of(kind: Any) -> str | None:
    """A Struct is called as its class, an annotated type by its title."""
    if get_origin(kind) is Annotated:
        return next((meta.title for meta in kind.__metadata__ if meta.title), None)
    return kind.__name__ if isinstance(kind, type) and issubclass(kind, Struct) else None


def _written_out(kind: Any) -> Node:
    if origin := get_origin(kind):
        return _BY_ORIGIN[origin](*get_args(kind))
    if issubclass(kind, Struct):
        return _record(kind)
    return {} if kind is Raw else {"type": _TYPES[kind]}


def _record(shape: type[Struct]) -> Node:
    fields = structs.fields(shape)
    return {
        "type": "object",
        "description": getdoc(shape),
        "properties": {each.encode_name: schema(each.type) | _described(shape, each.name) for each in fields},
        "required": [each.encode_name for each in fields if each.default is not UNSET],
        "additionalProperties": False,
    }


def _described(shape: type[Struct], field: str) -> Node:
    owner = next(each for each in shape.__mro__ if field in each.__annotations__)
    text = _docstrings(owner.__module__).get((owner.__name__, field))
    return {"description": text} if text else {}


@cache
def _docstrings(module: str) -> dict[tuple[str, str], str]:
    """The docstrings below the fields of the module's classes. Python forgets them, so the source is read."""
    statements = ast.parse(getsource(sys.modules[module])).body
    found = {}
    for each in (statement for statement in statements if isinstance(statement, ast.ClassDef)):
        for field, below in pairwise(each.body):
            match field, below:
                case ast.AnnAssign(ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                    found[each.name, name] = " ".join(text.split())
    return found


def _annotated(kind: Any, *metas: Meta) -> Node:
    node = schema(kind)
    for meta in metas:
        told = {keyword: getattr(meta, attribute) for attribute, keyword in _KEYWORDS.items()}
        node |= {keyword: value for keyword, value in told.items() if value is not None}
        node |= meta.extra_json_schema or {}
    return node


def _any_of(*kinds: Any) -> Node:
    several = [schema(kind) for kind in kinds if kind is not UnsetType]
    return several[0] if len(several) == 1 else {"anyOf": several}


def _one_of(*words: str) -> Node:
    return {"const": words[0]} if len(words) == 1 else {"type": "string", "enum": list(words)}


_BY_ORIGIN: dict[Any, Callable[..., Node]] = {
    Annotated: _annotated,
    Literal: _one_of,
    Union: _any_of,
    UnionType: _any_of,
    list: lambda kind: {"type": "array", "items": schema(kind)},
    dict: lambda _, kind: {"type": "object", "additionalProperties": schema(kind)},
}
