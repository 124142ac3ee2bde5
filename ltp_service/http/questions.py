"""Refuses query parameters that a route does not know, because the answer would be to another question."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache

from flask import Request
from werkzeug.datastructures import MultiDict

from ltp_service.domain.errors import InvalidParameter
from ltp_service.http.body import has_body
from ltp_service.http.openapi.document import body_readers, query_parameters
from ltp_service.http.params import PAIR_NAMES
from ltp_service.http.path import documented

PROBES = frozenset({"/health", "/ready"})
"""Routes that ignore all parameters. Load balancers add their own, against caches for example, and a refusal would take
a healthy process out of service."""

_LISTS = frozenset({*PAIR_NAMES, "name[]"})
"""Parameters that may be given several times."""

_SAME = (
    "pair pairs symbol symbols base quote market ticker instrument product currency asset coin",
    "limit depth count size levels number",
    "exchange exchanges venue source",
    "max_age ttl age",
    "detail details verbose full",
    "expires expiry expiration ttl life",
    "permission permissions role scope",
    "name label title",
    "time timestamp at moment when date",
    "start since from begin starttime",
    "end until to stop endtime",
    "interval period granularity timeframe resolution",
    "after_trade_id after afterid fromid lastid",
    "format output",
)
"""Names that other APIs use for the same parameter, one group a line."""

_NO_BODY = (None, "", "0")

_KEYS = frozenset({"apikey", "xapikey", "key", "token", "accesstoken", "auth"})


def check(asked: Request) -> None:
    """Checks the query of any request to any route against what the OpenAPI document says of it, and refuses a body
    where it describes none. Raises InvalidParameter."""
    rule, environ = asked.url_rule, asked.environ
    is_plain = environ.get("CONTENT_LENGTH") in _NO_BODY and "HTTP_TRANSFER_ENCODING" not in environ
    if rule is None or (is_plain and not environ["QUERY_STRING"]):
        return  # nearly all are that plain
    if rule.rule in PROBES or asked.method == "OPTIONS":
        return
    route = ("GET" if asked.method == "HEAD" else asked.method, documented(rule.rule))
    names = _known().get(route, ())
    if route not in _readers() and has_body(asked):
        where = "write its parameters into the query" if names else "send none"
        raise InvalidParameter(f"this route reads no body; {where}")
    check_query(asked.args, names)


_known = cache(query_parameters)
"""Method and route to the parameters, read once."""

_readers = cache(body_readers)


def check_query(arguments: MultiDict[str, str], known: Sequence[str]) -> None:
    """Raises InvalidParameter for the first parameter that is not `known`, or that comes twice and is not a list."""
    for name in arguments:
        values = arguments.getlist(name)
        if name not in known and not (name in PAIR_NAMES and name.removesuffix("[]") in known):
            raise InvalidParameter(_unknown(name, known))
        if len(values) > 1 and name not in _LISTS:
            raise InvalidParameter(f"{name} is given {len(values)} times; give it once")


def nearest(name: str, known: Sequence[str]) -> str | None:
    """The known parameter that `name` most likely means; None when none is similar."""
    by_letters: Mapping[str, str] = {_letters(each): each for each in reversed(known)}
    wanted = _letters(name.partition("[")[0])
    if wanted in by_letters:
        return by_letters[wanted]
    for words in map(str.split, _SAME):
        if wanted in words and (found := [each for each in words if each in known]):
            return found[0]
    close = get_close_matches(wanted, by_letters, 1)
    return by_letters[close[0]] if close else None


def _unknown(name: str, known: Sequence[str]) -> str:
    if _letters(name) in _KEYS:
        return f"{name[:40]!r} is no parameter: a key goes into the X-API-Key header, for a URL is written into logs"
    if not known:
        return f"this route takes no parameters, and {name[:40]!r} was given; leave it out"
    meant = nearest(name, known)
    hint = f"; did you mean {meant}?" if meant else "."
    return f"this route knows no parameter {name[:40]!r}{hint} It takes {', '.join(known)}"


def _letters(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())
