"""Why a pair has no price to give, in one sentence for people."""

from ltp_service.assembly.prices import PriceParts
from ltp_service.domain.errors import LtpError, PriceStale, PriceUnavailable, UnknownPair
from ltp_service.domain.market import DELISTED
from ltp_service.domain.pairs import Pair
from ltp_service.prices.quotes import Quote


def refusal(quote: Quote, ttl: float, parts: PriceParts, now: float) -> LtpError:
    """The error for a quote that may not be served; `ttl` in seconds is the longest age of evidence, `now` monotonic."""
    pair, age = quote.pair, quote.verdict.age
    if age is None and (quote.market == DELISTED or pair in parts.source.unknown):
        return UnknownPair(f"{pair}: Kraken lists no such pair")
    if quote.market == DELISTED:
        return PriceStale(f"{pair}: the exchange does not list it any more")
    why = f"{about_feed(parts, now, pair)}; {_of_rest(pair, parts)}"
    if age is None:
        return PriceUnavailable(f"{pair}: no source has given a price yet. {why}")
    return PriceStale(f"{pair}: the last evidence is {age:.0f} s old, more than {ttl:g} s. {why}")


def about_feed(parts: PriceParts, now: float, pair: Pair | None = None) -> str:
    """How the feed is at the monotonic second `now`, and its subscription of `pair`."""
    if parts.kraken is None:
        return "WebSocket: switched off"
    if parts.fleet is not None and not parts.fleet.in_step():
        return "Redis: no connection with the fleet, which runs the feed"
    link = parts.kraken.link() if parts.fleet is None else parts.fleet.seen(parts.kraken.link())
    about = [link.last_error or link.state]
    if link.connected:
        subscription = None if pair is None else parts.kraken.subscription(pair)
        asked = subscription.label if subscription else "not subscribed yet"
        about = ["connected", *([] if pair is None else [asked])]
    if link.last_frame_at is None:
        return f"WebSocket: {', '.join(about)}, never heard"
    return f"WebSocket: {', '.join(about)}, last heard {max(0.0, now - link.last_frame_at):.1f} s ago"


def _of_rest(pair: Pair, parts: PriceParts) -> str:
    if pair in parts.source.unknown:
        return "REST: does not know the pair"
    return parts.source.errors.get(pair, "REST: no answer yet")
