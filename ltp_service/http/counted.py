"""What one request adds to several meters at once."""

from collections import defaultdict
from collections.abc import Collection, Mapping

from ltp_service import meters as table
from ltp_service.domain.pairs import Pair
from ltp_service.meters import Meters

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
        meters.count(table.REQUESTS, method, route, status, amount=len(measures))
        meters.observe(table.REQUEST_SECONDS, seconds, method, route, status)
        meters.observe(table.REQUEST_BYTES, received, method, route)
        meters.observe(table.ANSWER_BYTES, sent, method, route)


def count_decisions(meters: Meters, decisions: list[tuple[bool, int]]) -> None:
    """The rate limit let requests pass or refused them, and left so many tokens."""
    allowed = sum(allowed for allowed, _ in decisions)
    meters.count(table.LIMIT_DECISIONS, "allowed", amount=allowed)
    meters.count(table.LIMIT_DECISIONS, "limited", amount=len(decisions) - allowed)
    meters.observe(table.TOKENS_LEFT, [remaining for _, remaining in decisions])


def count_prices(meters: Meters, pairs: Collection[Pair], *, hit: bool, times: int = 1) -> None:
    """The prices of `pairs` were asked for so many times; `hit` when memory had them."""
    result, asked = "hit" if hit else "miss", len(pairs) * times
    for pair in pairs:
        meters.count(table.PRICE_REQUESTS, str(pair), result, amount=times)
    meters.count(table.CACHE_HITS if hit else table.CACHE_MISSES, amount=asked)
    meters.count(table.CACHE_OPERATIONS, "get", result, amount=asked)


def count_substitutes(meters: Meters, answered: Mapping[tuple[Pair, str], int]) -> None:
    """The price of another source was answered for a pair so many times."""
    for (pair, source), times in answered.items():
        meters.count(table.SUBSTITUTED, str(pair), source, amount=times)
