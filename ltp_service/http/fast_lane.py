"""Answers `GET /api/v1/ltp` before Flask, from pieces rendered when a price changes.

It answers only requests without special parameters or headers whose supported pairs are all servable. The Flask view
answers the others, with the same bytes.
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
from ltp_service.http.ltp_body import PairProblem, body, etag, item, matches
from ltp_service.prices.freshness import servable_until
from ltp_service.prices.store import Store
from ltp_service.runtime.clock import Clock
from ltp_service.settings.config import Config

ROUTE = "/api/v1/ltp"

MAX_QUESTIONS = 1000
"""Queries remembered, beyond one per supported pair. When there are more, all are forgotten, because so many different
queries do not come again."""

_KNOWN = frozenset(params.PAIR_NAMES)
_NO_BODY = (None, "0", "")

Headers = list[tuple[str, str]]


class Question(msgspec.Struct, frozen=True):
    """A query string, as it was read once."""

    supported: tuple[Pair, ...]
    failed: tuple[PairProblem, ...]


_UNREAD = Question((), ())


class Ready(msgspec.Struct):
    """A complete answer, valid while the store's view is the same, and until `until`."""

    view: Mapping[Pair, Price]
    until: float
    """Monotonic seconds."""
    status: str
    content: bytes
    tag: str
    headers: Headers
    unchanged: Headers
    """The headers of a 304. They do not describe a body, because simple clients would wait for it."""
    pairs: int
    question: Question
    failed: bool


class FastLane:
    """Complete answers by query string."""

    def __init__(self, config: Config, store: Store, clock: Clock) -> None:
        self._store = store
        self._monotonic = clock.monotonic
        self._ttl = config.cache_ttl
        self._supported = config.supported_pairs
        # Public caches must not keep an answer that needs a key.
        self._cache_control = f"{'private' if config.auth_enabled else 'public'}, max-age=1"
        self._watched: dict[str, frozenset[Pair]] = {}
        self._most = MAX_QUESTIONS + len(self._supported)
        self._questions: dict[str, Question | None] = {}
        self._ready: dict[str, Ready] = {}
        self._fragments: dict[Pair, tuple[Tick, bytes]] = {}
        self._served: defaultdict[str, int] = defaultdict(int)

    def answer(self, environ: dict[str, Any]) -> Ready | None:
        """A complete answer; None for a request that the Flask view has to answer."""
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
        """The pairs of an answer to `query`. The same query gets the same object, because waiting requests are grouped
        by it.
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
        """How often each question was answered since the last call of this method."""
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
        return Ready(
            view=view,
            until=until,
            status="206 PARTIAL CONTENT" if question.failed else "200 OK",
            content=content,
            tag=tag,
            headers=headers,
            unchanged=caching,
            pairs=len(prices),
            question=question,
            failed=bool(question.failed),
        )

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
        failed = tuple(PairProblem(pair, "UNSUPPORTED_PAIR") for pair in asked if pair not in self._supported)
        if len(failed) == len(asked):
            return None
        return Question(tuple(pair for pair in asked if pair in self._supported), failed)


def is_known(ready: Ready, environ: dict[str, Any]) -> bool:
    """Whether the client has this answer already."""
    wanted = environ.get("HTTP_IF_NONE_MATCH")
    return wanted is not None and bool(ready.tag) and matches(wanted, ready.tag)
