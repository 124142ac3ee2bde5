"""The bytes of an answer about prices, and complete answers to `GET /api/v1/ltp` before Flask.

The fast lane answers from pieces that are rendered when a price changes. It answers only when every supported pair can
be served, and nothing special is asked. The Flask view answers the others, with the same bytes.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from math import inf
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from werkzeug.datastructures import MultiDict

from ltp_service.domain.decimals import plain
from ltp_service.domain.errors import InvalidParameter
from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import Price, Tick
from ltp_service.http import params, shapes
from ltp_service.http.problems import MESSAGES
from ltp_service.prices.freshness import servable_until
from ltp_service.prices.quotes import Quote
from ltp_service.prices.served import ServedPairs
from ltp_service.prices.store import Store
from ltp_service.runtime.clock import Clock
from ltp_service.settings.config import Config

ROUTE = "/api/v1/ltp"

MAX_QUESTIONS = 1000
"""Queries remembered, beyond one per supported pair. When there are more, all are forgotten, because so many different
queries do not come again."""

_PAIR_PARAMETERS = frozenset(params.PAIR_NAMES)
_NO_BODY = (None, "0", "")

Headers = list[tuple[str, str]]


# The bytes, which the Flask view writes with the same functions.


class PairProblem(msgspec.Struct, frozen=True):
    """Why an asked pair has no price in the answer."""

    pair: Pair
    code: str

    def told(self) -> shapes.PairError:
        """As it stands in the answer."""
        return shapes.PairError(str(self.pair), "Failed to fetch price", self.code, MESSAGES[self.code])


def item(tick: Tick) -> bytes:
    """One pair's piece: `{"pair":"BTC/USD","amount":115643}`."""
    return b'{"pair":"%b","amount":%b}' % (_name(tick.pair), plain(tick.amount).encode())


def pair_problems(asked: Sequence[Pair], quotes: Sequence[Quote], served: ServedPairs) -> list[PairProblem]:
    """The problems of the asked pairs without a servable quote."""
    by_pair = {quote.pair: quote for quote in quotes}
    return [
        PairProblem(pair, "PRICE_FETCH_ERROR" if served.may_come(pair) else _code(quote))
        for pair in asked
        if (quote := by_pair.get(pair)) is None or not quote.verdict.servable
    ]


def body(items: Sequence[bytes], failed: Sequence[PairProblem]) -> bytes:
    """The body of a 200, or of a 206 with `failed`, from rendered items."""
    errors = b',"errors":[%b]' % b",".join(map(_render, failed)) if failed else b""
    return b'{"ltp":[%b]%b}' % (b",".join(items), errors)


def etag(content: bytes) -> str:
    """A strong ETag: it changes exactly when the bytes do."""
    return f'"{blake2b(content, digest_size=12).hexdigest()}"'


def matches(if_none_match: str | None, tag: str) -> bool:
    """Whether If-None-Match names `tag` (RFC 9110, section 13.1.2: weak comparison)."""
    if if_none_match is None or if_none_match == tag:  # nearly every client sends the one tag that it got
        return if_none_match is not None
    known = {text.strip().removeprefix("W/") for text in if_none_match.split(",")}
    return tag in known or known == {"*"}


@lru_cache(10_000)
def _name(pair: Pair) -> bytes:
    return str(pair).encode()


def _code(quote: Quote | None) -> str:
    if quote is None:
        return "UNSUPPORTED_PAIR"
    return "PRICE_FETCH_ERROR" if quote.verdict.state == "unknown" else "PRICE_STALE"


@lru_cache(1000)
def _render(problem: PairProblem) -> bytes:
    return msgspec.json.encode(problem.told())


# The fast lane.


class Question(msgspec.Struct, frozen=True):
    """The pairs that one query string asks for."""

    supported: tuple[Pair, ...]
    unsupported: tuple[PairProblem, ...]


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

    def __init__(self, config: Config, served: ServedPairs, store: Store, clock: Clock) -> None:
        self._store = store
        self._monotonic = clock.monotonic
        self._ttl = config.cache_ttl
        self._served_pairs = served
        self._supported = served.pairs
        served.on_change(self._serve)
        # Public caches must not keep an answer that needs a key.
        self._cache_control = f"{'private' if config.auth_enabled else 'public'}, max-age=1"
        self._watched: dict[str, frozenset[Pair]] = {}
        self._most = MAX_QUESTIONS + len(self._supported)
        self._questions: dict[str, Question | None] = {}
        self._ready: dict[str, Ready] = {}
        self._pieces: dict[Pair, tuple[Tick, bytes]] = {}
        """Each pair's rendered piece, and the tick that it shows."""
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
        view = self._store.all()
        if ready is None or ready.view is not view or self._monotonic() > ready.until:
            ready = self._compose(query, view)
            if ready is None:
                return None
            self._ready[query] = ready
        self._served[query] += 1
        return ready

    def _serve(self, pairs: Sequence[Pair]) -> None:
        """What was understood of a question holds for the pairs that were served then."""
        self._supported = tuple(pairs)
        self._most = MAX_QUESTIONS + len(self._supported)
        for known in (self._watched, self._questions, self._ready):
            known.clear()

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

    def _compose(self, query: str, view: Mapping[Pair, Price]) -> Ready | None:
        """The 200 or 206 for `query`; None where the Flask view has to answer."""
        question = self._questions.get(query, _UNREAD)
        if question is _UNREAD:
            question = self._read(query)
        if question is None:
            return None
        store, pieces, until = self._store, self._pieces, inf
        items = []
        for pair in question.supported:
            price = view.get(pair)
            if price is None:
                return None
            until = min(until, servable_until(price, self._ttl, store.market_of(pair)))
            piece = pieces.get(pair)
            if piece is None or piece[0] is not price.tick:
                piece = pieces[pair] = (price.tick, item(price.tick))
            items.append(piece[1])
        if self._monotonic() > until:
            return None
        failed = question.unsupported
        content = body(items, failed)
        tag = "" if failed else etag(content)
        caching = [("Cache-Control", "no-store")]
        if not failed:
            caching = [("Cache-Control", self._cache_control), ("ETag", tag)]
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(content))), *caching]
        return Ready(
            view=view,
            until=until,
            status="206 PARTIAL CONTENT" if failed else "200 OK",
            content=content,
            tag=tag,
            headers=headers,
            unchanged=caching,
            pairs=len(items),
            question=question,
            failed=bool(failed),
        )

    def _read(self, query: str) -> Question | None:
        if len(self._questions) >= self._most:
            self._questions.clear()
            self._ready.clear()
        question = self._questions[query] = self._understand(query)
        return question

    def _understand(self, query: str) -> Question | None:
        try:
            arguments = MultiDict(parse_qsl(query, keep_blank_values=True, errors="strict"))
            if not _PAIR_PARAMETERS.issuperset(arguments):
                return None
            asked = params.pairs(arguments, self._supported).pairs
        except (InvalidParameter, ValueError):
            return None
        served = self._served_pairs
        failed = tuple(PairProblem(pair, "UNSUPPORTED_PAIR") for pair in asked if pair not in served)
        if len(failed) == len(asked) or any(served.may_come(problem.pair) for problem in failed):
            return None
        return Question(tuple(pair for pair in asked if pair in served), failed)


def client_has(ready: Ready, if_none_match: str) -> bool:
    """Whether the client has this answer already."""
    return bool(ready.tag) and matches(if_none_match, ready.tag)
