"""Answers `GET /api/v1/ltp` ahead of Flask, from pieces rendered when a price changes.

It answers only what it is sure of: every supported pair asked is servable, and nothing special was asked. All
else goes to the Flask view, which composes the same bytes.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from werkzeug.datastructures import MultiDict

from ltp_service.domain.errors import InvalidParameter
from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import Price, Tick
from ltp_service.http import params
from ltp_service.http.ltp_body import Problem, body, etag, item, matches
from ltp_service.prices.freshness import servable_until
from ltp_service.prices.store import Store
from ltp_service.runtime.clock import Clock

ROUTE = "/api/v1/ltp"

MOST = 1000
"""Questions remembered beside one for each pair. When there are more, all are forgotten: so many different ones are
not asked again."""

_KNOWN = frozenset(params.PAIR_NAMES)
_NO_BODY = (None, "0", "")

Headers = list[tuple[str, str]]


class Question(msgspec.Struct, frozen=True):
    """A query that was read once."""

    supported: tuple[Pair, ...]
    failed: tuple[Problem, ...]


_UNREAD = Question((), ())


class Ready(msgspec.Struct):
    """A complete answer, good while the view is the same and the time is not over."""

    view: Mapping[Pair, Price]
    until: float
    """Monotonic seconds."""
    status: str
    content: bytes
    tag: str
    headers: Headers
    unchanged: Headers
    """What a 304 says in place of them: nothing of a body, for which simple clients would wait."""
    pairs: int
    question: Question
    failed: bool


class FastLane:
    """Ready answers by query text."""

    def __init__(
        self, store: Store, clock: Clock, ttl: float, supported: tuple[Pair, ...], scope: str = "public"
    ) -> None:
        """`scope` says who may keep an answer: `public` caches, or only `private` ones."""
        self._store = store
        self._monotonic = clock.monotonic
        self._ttl = ttl
        self._supported = supported
        self._cache_control = f"{scope}, max-age=1"
        self._watched: dict[str, frozenset[Pair]] = {}
        self._most = MOST + len(supported)
        self._questions: dict[str, Question | None] = {}
        self._ready: dict[str, Ready] = {}
        self._fragments: dict[Pair, tuple[Tick, bytes]] = {}
        self._served: defaultdict[str, int] = defaultdict(int)

    def answer(self, environ: dict[str, Any]) -> Ready | None:
        """A complete answer, or None for whatever the Flask view has to decide."""
        if (
            "HTTP_CACHE_CONTROL" in environ
            or "HTTP_PREFER" in environ
            or "HTTP_IF_MATCH" in environ
            or "HTTP_TRANSFER_ENCODING" in environ
            or environ.get("CONTENT_LENGTH") not in _NO_BODY
            or environ["REQUEST_METHOD"] not in ("GET", "HEAD")
        ):
            return None
        query = environ["QUERY_STRING"]
        ready = self._ready.get(query)
        if ready is None or ready.view is not self._store.all() or self._monotonic() > ready.until:
            ready = self._compose(query)
            if ready is None:
                return None
            self._ready[query] = ready
        self._served[query] += 1
        return ready

    def watched(self, query: str) -> frozenset[Pair]:
        """The pairs that an answer to `query` may tell of: the same object for the same query, because it is looked
        for by all who wait.
        """
        watched = self._watched.get(query)
        if watched is None:
            if len(self._watched) >= self._most:
                self._watched.clear()
            watched = self._watched[query] = frozenset(self._asked(query)) & frozenset(self._supported)
        return watched

    def _asked(self, query: str) -> tuple[Pair, ...]:
        try:
            return params.pairs(MultiDict(parse_qsl(query, keep_blank_values=True)), self._supported).pairs
        except (InvalidParameter, ValueError):
            return ()

    def take_served(self) -> list[tuple[Question, int]]:
        """How often each question was answered since this was last asked."""
        served, self._served = self._served, defaultdict(int)
        known = ((self._questions.get(query), count) for query, count in served.items())
        return [(question, count) for question, count in known if question is not None]

    def _compose(self, query: str) -> Ready | None:
        question = self._questions.get(query, _UNREAD)
        if question is _UNREAD:
            question = self._read(query)
        if question is None:
            return None
        view = self._store.all()
        prices = [price for pair in question.supported if (price := view.get(pair)) is not None]
        market_of = self._store.market_of
        until = min(
            (servable_until(price, self._ttl, market_of(price.tick.pair)) for price in prices), default=0.0
        )
        if len(prices) < len(question.supported) or self._monotonic() > until:
            return None
        return self._render(question, prices, view, until)

    def _render(
        self, question: Question, prices: list[Price], view: Mapping[Pair, Price], until: float
    ) -> Ready:
        content = body([self._fragment(price.tick) for price in prices], question.failed)
        tag = "" if question.failed else etag(content)
        caching = [("Cache-Control", self._cache_control), ("ETag", tag)]
        if question.failed:
            caching = [("Cache-Control", "no-store")]
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(content))), *caching]
        status = "206 PARTIAL CONTENT" if question.failed else "200 OK"
        failed = bool(question.failed)
        return Ready(view, until, status, content, tag, headers, caching, len(prices), question, failed)

    def _fragment(self, tick: Tick) -> bytes:
        known = self._fragments.get(tick.pair)
        if known is None or known[0] is not tick:
            known = self._fragments[tick.pair] = (tick, item(tick))
        return known[1]

    def _read(self, query: str) -> Question | None:
        if len(self._questions) >= self._most:
            self._questions.clear()
            self._ready.clear()
        question = self._questions[query] = self._understand(query)
        return question

    def _understand(self, query: str) -> Question | None:
        try:
            arguments = MultiDict(parse_qsl(query, keep_blank_values=True, errors="strict"))
            if not _KNOWN.issuperset(arguments):
                return None
            asked = params.pairs(arguments, self._supported).pairs
        except (InvalidParameter, ValueError):
            return None
        failed = tuple(Problem(pair, "UNSUPPORTED_PAIR") for pair in asked if pair not in self._supported)
        if len(failed) == len(asked):
            return None
        return Question(tuple(pair for pair in asked if pair in self._supported), failed)


def is_known(ready: Ready, environ: dict[str, Any]) -> bool:
    """Whether the client has this answer already."""
    wanted = environ.get("HTTP_IF_NONE_MATCH")
    return wanted is not None and bool(ready.tag) and matches(wanted, ready.tag)
