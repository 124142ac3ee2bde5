"""The bytes of an answer about prices, and complete answers to `GET /api/v1/ltp` before Flask.

The fast lane answers from pieces that are rendered when a price changes. It answers only when every supported pair can
be served, and nothing special is asked. The Flask view answers the others, with the same bytes.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from math import inf
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec.structs import replace
from werkzeug.datastructures import MultiDict

from ltp_service.domain.decimals import plain
from ltp_service.domain.errors import InvalidParameter
from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import Price, Tick
from ltp_service.http import params, shapes
from ltp_service.http.price_source import names_of, source_headers, substitutes_among
from ltp_service.http.problems import MESSAGES
from ltp_service.prices.freshness import servable_until
from ltp_service.prices.other_markets import Substitutes
from ltp_service.prices.quotes import Quote
from ltp_service.prices.served import ServedPairs
from ltp_service.prices.store import Store
from ltp_service.runtime.clock import Clock
from ltp_service.settings.config import Config

ROUTE = "/api/v1/ltp"

LOOK_AGAIN_SECONDS = 0.5
"""Seconds after which a waiting request looks again at an answer with a substitute. Kraken may be back with the trade that
it had before, and that is not announced."""

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


def etag(content: bytes, named: str = "") -> str:
    """A strong ETag: it changes exactly when the bytes do, or the sources that `named` tells."""
    return f'"{blake2b(content, digest_size=12, key=blake2b(named.encode()).digest() if named else b"").hexdigest()}"'


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


class Ready(msgspec.Struct, frozen=True):
    """A complete answer, valid while the store's view is the same, and until `until`."""

    view: Mapping[Pair, Price]
    until: float
    """Monotonic seconds."""
    ticks: Sequence[Tick]
    """What it shows."""
    status: str
    content: bytes
    tag: str
    headers: Headers
    unchanged: Headers
    """The headers of a 304. They do not describe a body, because simple clients would wait for it."""
    failed: bool
    is_substitute: bool
    """Whether a price is another exchange's. Such an answer is looked at anew by each request, because the view does not
    hold that price."""


class Question(msgspec.Struct, eq=False):
    """The pairs that a query string asks for, and the last answer. All spellings of "all" share one."""

    supported: tuple[Pair, ...]
    unsupported: tuple[PairProblem, ...] = ()
    ready: Ready | None = None


_UNREAD = Question(())


class FastLane:
    """Complete answers by query string."""

    def __init__(
        self, config: Config, served: ServedPairs, store: Store, substitutes: Substitutes, clock: Clock
    ) -> None:
        self._store = store
        self._choose = substitutes.choose if substitutes.are_allowed else None
        """Chooses between Kraken's price and a substitute; None where none is allowed, so that nothing is asked."""
        self._monotonic = clock.monotonic
        self._ttl = config.cache_ttl
        self._served_pairs = served
        # Public caches must not keep an answer that needs a key.
        self._cache_control = f"{'private' if config.auth_enabled else 'public'}, max-age=1"
        self._watched: dict[str, frozenset[Pair]] = {}
        self._questions: dict[str, Question | None] = {}
        self._pieces: dict[Pair, tuple[Tick, bytes]] = {}
        """Each pair's rendered piece, and the tick that it shows."""
        self._served: defaultdict[Question, int] = defaultdict(int)
        self._substituted = Counter[tuple[Pair, str]]()
        self._serve(served.pairs)
        served.on_change(self._serve)

    def _serve(self, pairs: Sequence[Pair]) -> None:
        """Answers about these pairs. What was understood of a query holds for the pairs that were served then."""
        self._supported, self._is_supported = tuple(pairs), frozenset(pairs)
        self._everything = Question(self._supported)
        self._most = MAX_QUESTIONS + len(self._supported)
        self._watched.clear()
        self._questions.clear()

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
        question = self._questions.get(query, _UNREAD)
        if question is _UNREAD:
            question = self._read(query)
        if question is None:
            return None
        ready, view = question.ready, self._store.all()
        if ready is None or ready.view is not view or ready.is_substitute or self._monotonic() > ready.until:
            ready = self._answer_anew(question, view)
            if ready is None:
                return None
        self._served[question] += 1
        return ready

    def may_change_unannounced(self, query: str) -> bool:
        """Whether an answer that Flask gave to `query` may become another one without a trade: where another exchange may
        stand in or is replaced by Kraken again, and where the fast lane may answer the next time."""
        return self._choose is not None or self._questions.get(query) is not None

    def watched(self, query: str) -> frozenset[Pair]:
        """The pairs of an answer to `query`. The same query gets the same object, because waiting requests are grouped
        by it.
        """
        watched = self._watched.get(query)
        if watched is None:
            if len(self._watched) >= self._most:
                self._watched.clear()
            watched = self._watched[query] = self._asked(query)
        return watched

    def _asked(self, query: str) -> frozenset[Pair]:
        try:
            asked = params.pairs(MultiDict(parse_qsl(query, keep_blank_values=True)), self._supported)
        except (InvalidParameter, ValueError):
            return frozenset()
        return self._is_supported if asked.everything else self._is_supported.intersection(asked.pairs)

    def take_served(self) -> list[tuple[Question, int]]:
        """How often each question was answered since the last call of this method."""
        served, self._served = self._served, defaultdict(int)
        return list(served.items())

    def take_substituted(self) -> Counter[tuple[Pair, str]]:
        """How often the price of another source was answered for each pair since the last call of this method."""
        substituted, self._substituted = self._substituted, Counter[tuple[Pair, str]]()
        return substituted

    def _answer_anew(self, question: Question, view: Mapping[Pair, Price]) -> Ready | None:
        """The answer from another view, or after its time; None where the Flask view has to answer.

        Most views differ in pairs that are not asked for, or in evidence alone. Then the bytes are those from before.
        """
        now, market_of, until = self._monotonic(), self._store.market_of, inf
        ticks, choose = [], self._choose
        for pair in question.supported:
            price = view.get(pair)
            if choose is not None:
                price = choose(pair, price, now)
            if price is None:
                return None
            until = min(until, servable_until(price, self._ttl, market_of(pair)))
            ticks.append(price.tick)
        if now > until:
            return None
        if choose is not None and (found := substitutes_among(ticks)):
            until = min(until, now + LOOK_AGAIN_SECONDS)
            self._substituted.update((tick.pair, tick.source) for tick in found)
        held = question.ready
        if held is not None and held.ticks == ticks:
            ready = replace(held, view=view, until=until)
        else:
            ready = self._compose(ticks, question.unsupported, view, until)
        question.ready = ready
        return ready

    def _compose(
        self, ticks: Sequence[Tick], failed: Sequence[PairProblem], view: Mapping[Pair, Price], until: float
    ) -> Ready:
        """The 200 or 206 with these ticks."""
        items, pieces = [], self._pieces
        for tick in ticks:
            piece = pieces.get(tick.pair)
            if piece is None or piece[0] is not tick:
                piece = pieces[tick.pair] = (tick, item(tick))
            items.append(piece[1])
        named = names_of(substitutes_among(ticks)) if self._choose is not None else ""
        content = body(items, failed)
        tag = "" if failed else etag(content, named)
        caching = [("Cache-Control", "no-store")]
        if not failed:
            caching = [("Cache-Control", self._cache_control), ("ETag", tag)]
        if named:
            caching += source_headers(named)
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(content))), *caching]
        return Ready(
            view=view,
            until=until,
            ticks=ticks,
            status="206 PARTIAL CONTENT" if failed else "200 OK",
            content=content,
            tag=tag,
            headers=headers,
            unchanged=caching,
            failed=bool(failed),
            is_substitute=bool(named),
        )

    def _read(self, query: str) -> Question | None:
        if len(self._questions) >= self._most:
            self._questions.clear()
        question = self._questions[query] = self._understand(query)
        return question

    def _understand(self, query: str) -> Question | None:
        try:
            arguments = MultiDict(parse_qsl(query, keep_blank_values=True, errors="strict"))
            if not _PAIR_PARAMETERS.issuperset(arguments):
                return None
            asked = params.pairs(arguments, self._supported)
        except (InvalidParameter, ValueError):
            return None
        if asked.everything:
            return self._everything if self._supported else None
        known = tuple(pair for pair in asked.pairs if pair in self._is_supported)
        strangers = [pair for pair in asked.pairs if pair not in self._is_supported]
        if not known or any(map(self._served_pairs.may_come, strangers)):
            return None
        return Question(known, tuple(PairProblem(pair, "UNSUPPORTED_PAIR") for pair in strangers))


def client_has(ready: Ready, if_none_match: str) -> bool:
    """Whether the client has this answer already."""
    return bool(ready.tag) and matches(if_none_match, ready.tag)
