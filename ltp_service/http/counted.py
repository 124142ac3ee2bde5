"""What one request adds to several meters at once."""

from collections import defaultdict
from collections.abc import Collection

from ltp_service.domain.pairs import Pair
from ltp_service.meters import (
    ANSWER_BYTES,
    CACHE_HITS,
    CACHE_MISSES,
    CACHE_OPERATIONS,
    LIMIT_DECISIONS,
    PRICE_REQUESTS,
    REQUEST_BYTES,
    REQUEST_SECONDS,
    REQUESTS,
    TOKENS_LEFT,
    Meters,
)

AnsweredRequest = tuple[str, str, int, float, int, int]
"""Method, route, status, seconds, bytes of body received, bytes of body sent."""


def count_answers(meters: Meters, answers: list[AnsweredRequest]) -> None:
    """Requests were answered."""
    routes: defaultdict[tuple[str, str, int], list[tuple[float, int, int]]] = defaultdict(list)
    for answer in answers:
        routes[answer[:3]].append(answer[3:])
    for (method, route, code), measures in routes.items():
        status = str(code)
        seconds, received, sent = zip(*measures, strict=True)
        meters.count(REQUESTS, method, route, status, amount=len(measures))
        meters.observe(REQUEST_SECONDS, seconds, method, route, status)
        meters.observe(REQUEST_BYTES, received, method, route)
        meters.observe(ANSWER_BYTES, sent, method, route)


def count_decisions(meters: Meters, decisions: list[tuple[bool, int]]) -> None:
    """The rate limit let requests pass or refused them, and left so many tokens."""
    allowed = sum(allowed for allowed, _ in decisions)
    meters.count(LIMIT_DECISIONS, "allowed", amount=allowed)
    meters.count(LIMIT_DECISIONS, "limited", amount=len(decisions) - allowed)
    meters.observe(TOKENS_LEFT, [remaining for _, remaining in decisions])


def count_prices(meters: Meters, pairs: Collection[Pair], *, hit: bool, times: int = 1) -> None:
    """The prices of `pairs` were asked for so many times; `hit` when memory had them."""
    result, asked = "hit" if hit else "miss", len(pairs) * times
    for pair in pairs:
        meters.count(PRICE_REQUESTS, str(pair), result, amount=times)
    meters.count(CACHE_HITS if hit else CACHE_MISSES, amount=asked)
    meters.count(CACHE_OPERATIONS, "get", result, amount=asked)
