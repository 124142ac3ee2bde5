"""Why a pair has no price to give, in one sentence for people."""

from ltp_service.assembly import PriceParts
from ltp_service.domain.errors import LtpError, PriceStale, PriceUnavailable, UnknownPair
from ltp_service.domain.market import DELISTED
from ltp_service.domain.pairs import Pair
from ltp_service.prices.quotes import Quote


def refusal(quote: Quote, ttl: float, parts: PriceParts) -> LtpError:
    """The error for a quote that may not be served; `ttl` in seconds is the longest age of evidence."""
    pair, age = quote.pair, quote.verdict.age
    if age is None and (quote.market == DELISTED or pair in parts.source.unknown):
        return UnknownPair(f"{pair}: Kraken lists no such pair")
    if quote.market == DELISTED:
        return PriceStale(f"{pair}: the exchange does not list it any more")
    why = f"{_of_the_feed(pair, parts)}; {_of_rest(pair, parts)}"
    if age is None:
        return PriceUnavailable(f"{pair}: no source has given a price yet. {why}")
    return PriceStale(f"{pair}: the last evidence is {age:.0f} s old, more than {ttl:g} s. {why}")


def _of_the_feed(pair: Pair, parts: PriceParts) -> str:
    if parts.kraken is None:
        return "WebSocket: switched off"
    link, subscription = parts.kraken.link(), parts.kraken.subscription(pair)
    if not link.connected:
        return f"WebSocket: {link.last_error or link.state}"
    return f"WebSocket: connected, {subscription.label if subscription else 'not subscribed yet'}"


def _of_rest(pair: Pair, parts: PriceParts) -> str:
    if pair in parts.source.unknown:
        return "REST: does not know the pair"
    return parts.source.errors.get(pair, "REST: no answer yet")
