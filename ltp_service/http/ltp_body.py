"""The body of an answer about prices. The fast lane and the Flask view build the same bytes with it."""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

import msgspec

from ltp_service.domain.decimals import plain
from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import Tick
from ltp_service.prices.quotes import Quote

MESSAGES = {
    "UNSUPPORTED_PAIR": "Unsupported trading pair",
    "PRICE_STALE": "The last evidence for this price is older than max_age or CACHE_TTL allows; ask with a longer max_age, or with allow_stale=true and none",
    "PRICE_FETCH_ERROR": "No source has given a price for this pair yet; ask again in a few seconds",
}


class PairProblem(msgspec.Struct, frozen=True):
    """Why an asked pair has no price in the answer."""

    pair: Pair
    code: str

    def told(self) -> dict[str, str]:
        """Its JSON object in the answer."""
        return {
            "pair": str(self.pair),
            "error": "Failed to fetch price",
            "code": self.code,
            "message": MESSAGES[self.code],
        }


def item(tick: Tick) -> bytes:
    """One pair's piece: `{"pair":"BTC/USD","amount":115643}`."""
    return b'{"pair":"%b","amount":%b}' % (str(tick.pair).encode(), plain(tick.amount).encode())


def pair_problems(asked: Sequence[Pair], quotes: Sequence[Quote]) -> list[PairProblem]:
    """The problems of the asked pairs without a servable quote."""
    by_pair = {quote.pair: quote for quote in quotes}
    return [
        PairProblem(pair, _code(quote))
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


def _code(quote: Quote | None) -> str:
    if quote is None:
        return "UNSUPPORTED_PAIR"
    return "PRICE_FETCH_ERROR" if quote.verdict.state == "unknown" else "PRICE_STALE"


@lru_cache(1000)
def _render(problem: PairProblem) -> bytes:
    return msgspec.json.encode(problem.told())
