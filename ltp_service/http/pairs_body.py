"""The JSON body that may name pairs."""

import json

from flask import Request

from ltp_service.domain.errors import InvalidParameter
from ltp_service.domain.pairs import Pair
from ltp_service.http import params
from ltp_service.http.body import has_body, read_body

_SHAPE = 'write {"pairs": ["BTC/USD", "ETH/USD"]} or {"pairs": "BTC/USD,ETH/USD"}'


def pairs(request: Request) -> tuple[Pair, ...] | None:
    """The pairs that the body names, in its order and without duplicates; None without a body.

    Raises InvalidParameter for a body that is not the one described, and where the query has parameters too.
    """
    if not has_body(request):
        return None
    if request.mimetype != "application/json":
        given = repr(request.mimetype[:40]) if request.mimetype else "missing"
        raise InvalidParameter(f"the Content-Type of the body is {given}; send JSON as application/json")
    if request.args:
        raise InvalidParameter(
            "there are parameters in the query and a body; name the pairs in one of the two"
        )
    named = params.listed(_texts(read_body(request)))
    if not named:
        raise InvalidParameter(f"pairs in the body names none; {_SHAPE}")
    return named


def _texts(content: bytes) -> list[str]:
    """What stands under `pairs`, each text as in the query."""
    members = _members(content)
    for name, _ in members:
        if name != "pairs":
            raise InvalidParameter(f"the body has {name[:40]!r}, which is not known here; {_SHAPE}")
    if len(members) != 1:
        given = f"given {len(members)} times" if members else "missing"
        raise InvalidParameter(f"pairs is {given} in the body; {_SHAPE}")
    value = members[0][1]
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise InvalidParameter(f"pairs in the body is neither a list of texts nor a text; {_SHAPE}")
    return texts


def _members(content: bytes) -> tuple[tuple[str, object], ...]:
    """The names and values of a JSON object. As tuples, so that a name given twice is seen and a list is none."""
    try:
        found = json.loads(content.decode(), object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        raise InvalidParameter(f"the body is not JSON in UTF-8; {_SHAPE}") from None
    if not isinstance(found, tuple):
        raise InvalidParameter(f"the body is not a JSON object; {_SHAPE}")
    return found
