"""The tools that an agent has. They read, and change nothing.

A price that `/api/v1/ltp` would refuse is an error without a number: an agent repeats every number that it sees.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import msgspec
from werkzeug.datastructures import MultiDict

from ltp_service.assembly.services import Services
from ltp_service.domain.errors import LtpError
from ltp_service.domain.market import DELISTED
from ltp_service.domain.pairs import Pair, read_pair
from ltp_service.history import answers
from ltp_service.history.export import digits
from ltp_service.history.questions import Pending
from ltp_service.http import auth, params, shapes
from ltp_service.http.answers import rfc3339
from ltp_service.http.mcp.results import (
    Decision,
    ExplainedPrice,
    NoArguments,
    OnePair,
    PairAndTime,
    PriceNow,
    PriceThen,
    Witness,
    schema_of,
)
from ltp_service.http.views.explain import explained
from ltp_service.http.views.history import Found, prices_then
from ltp_service.http.views.ltp import quotes_of
from ltp_service.http.views.pairs import served_pairs
from ltp_service.prices.quotes import Quote
from ltp_service.runtime.moments import rfc3339_exact

Node = dict[str, Any]

_SERVED = {
    "live": "The feed is proven alive, and the last trade is at most 60 s old.",
    "quiet": "The feed is proven alive, and there was no trade for more than 60 s: the number is right, the market is still.",
    "fallback": "The feed does not deliver this pair, and the exchange's REST API confirms the price; or it has not told when the trade was made.",
    "substitute": "Kraken is silent. This is the last trade on another exchange, which source names: another market, whose price differs from Kraken's.",
    "halted": "The exchange matches no orders of this pair now. This was its last trade.",
}
_UNKNOWN = "No source has told a price of this pair yet. Ask again in a few seconds."
_STALE = (
    "The last known price was not confirmed for too long, so it may be wrong and is not told. Ask again in a few seconds;"
    " explain_price says what is known."
)
_DELISTED = "The exchange does not list this pair any more, so it has no last price now."

_PROVEN = "No trade is missing around that moment."
_OBSERVED = "The price was told without a trade id, so a trade in between may have been missed."
_PENDING = "That moment is too recent: whether another trade came is not known yet. Ask again in a second."
_HOLE = "Trades are missing around that moment, or may be, so its price is not known."
_NO_HISTORY = "Nothing is known of that moment. Ask for a later one."


class Refused(Exception):
    """The tool has no answer; the text says why and what to do."""


class Outcome(NamedTuple):
    """What a tool gives."""

    told: msgspec.Struct
    refusal: str | None = None
    """Why the result is an error; None when it is no error."""


class Tool(NamedTuple):
    """One tool."""

    name: str
    title: str
    description: str
    takes: type[msgspec.Struct]
    gives: type[msgspec.Struct]
    answer: Callable[[Services, Any], Outcome]


def get_price(parts: Services, asked: OnePair) -> Outcome:
    """The price as `/api/v1/ltp` serves or refuses it."""
    (quote,) = quotes_of(parts, [_pair(parts, asked.pair)])
    told = PriceNow(**_price_now(parts, quote))
    return Outcome(told, None if told.trustworthy else told.reason)


def explain_price(parts: Services, asked: OnePair) -> Outcome:
    """What `/api/v1/ltp/explain` tells, to the same callers. Where the price is refused, no number is told."""
    auth.admit("explain")
    pair = _pair(parts, asked.pair)
    (quote,) = parts.prices.quotes.look([pair])
    found = explained(parts, pair, quote)
    told = ExplainedPrice(
        **_price_now(parts, quote),
        market=found.market,
        doubt=found.doubt,
        held_back_since=found.quarantined.held_since if found.quarantined else None,
        subscription=found.subscription,
        fallback=found.fallback,
        breaker=found.breaker,
        witnesses=[_witness(each) for each in found.witnesses] if quote.verdict.servable else [],
        decisions=[_decision(each) for each in found.decisions],
    )
    return Outcome(told, None if told.trustworthy else f"{told.reason} {_text(told)}")


def price_at(parts: Services, asked: PairAndTime) -> Outcome:
    """The price at a moment, as `/api/v1/ltp/at` tells it."""
    pair = _pair(parts, asked.pair)
    moment = params.needed_moment(MultiDict({"time": str(asked.time)}), "time")
    found = prices_then(parts, [pair], moment)[pair]
    told = _price_then(str(pair), rfc3339_exact(moment), found)
    return Outcome(told, told.reason if told.price is None else None)


def list_pairs(parts: Services, _: NoArguments) -> Outcome:
    """The pairs as `/api/v1/pairs` tells them."""
    return Outcome(served_pairs(parts))


TOOLS = {
    tool.name: tool
    for tool in (
        Tool(
            "get_price",
            "Price now",
            "The last traded price of a currency pair, and how far it may be trusted. An error means that no price can be"
            " trusted now: then say so, and name no number.",
            OnePair,
            PriceNow,
            get_price,
        ),
        Tool(
            "explain_price",
            "Why this price",
            "Why the price of a pair is what it is, or why there is none: evidence, doubts, the feed, the last decisions,"
            " other exchanges. Needs a read key, or a program on the service's own machine.",
            OnePair,
            ExplainedPrice,
            explain_price,
        ),
        Tool(
            "price_at",
            "Price at a moment",
            "The last traded price of a currency pair at a moment of the past, with the proof that no trade is missing. An"
            " error means that it is not known: another moment has another price.",
            PairAndTime,
            PriceThen,
            price_at,
        ),
        Tool(
            "list_pairs",
            "Pairs",
            "The currency pairs that the other tools know.",
            NoArguments,
            shapes.Pairs,
            list_pairs,
        ),
    )
}


@cache
def listed_tools() -> list[Node]:
    """The tools in the shape of `tools/list`."""
    return [
        {
            "name": tool.name,
            "title": tool.title,
            "description": tool.description,
            "inputSchema": schema_of(tool.takes),
            "outputSchema": schema_of(tool.gives),
            "annotations": {"readOnlyHint": True, "openWorldHint": False},
        }
        for tool in TOOLS.values()
    ]


def call_tool(parts: Services, name: str, arguments: Node) -> Node | None:
    """The result of `tools/call`; None for an unknown name."""
    tool = TOOLS.get(name)
    if tool is None:
        return None
    try:
        told, refusal = tool.answer(parts, msgspec.convert(arguments, tool.takes))
    except msgspec.ValidationError as error:
        return _error(f"the arguments are wrong: {error}; {name} takes {', '.join(_names(tool)) or 'none'}")
    except (LtpError, Refused) as error:
        return _error(str(error))
    content = [{"type": "text", "text": refusal or _text(told)}]
    return {"content": content, "structuredContent": told, "isError": refusal is not None}


def _error(text: str) -> Node:
    return {"content": [{"type": "text", "text": text}], "isError": True}


def _names(tool: Tool) -> list[str]:
    return [field.name for field in msgspec.structs.fields(tool.takes)]


def _text(told: msgspec.Struct) -> str:
    """The text for clients that do not read structuredContent."""
    return msgspec.json.encode(told).decode()


def _pair(parts: Services, text: str) -> Pair:
    """The served pair of a text. Raises InvalidParameter or Refused."""
    pair = read_pair(text)
    if pair not in parts.prices.served:
        raise Refused(f"{pair}: not served here; list_pairs names the pairs that are")
    return pair


def _price_now(parts: Services, quote: Quote) -> Node:
    """The fields of a PriceNow. Without a servable price they have no number but the age of its evidence."""
    state, age, servable = quote.verdict.state, quote.verdict.age, quote.verdict.servable
    told: Node = {
        "pair": str(quote.pair),
        "price": None,
        "trustworthy": False,
        "state": state,
        "age_ms": None if age is None else round(age * 1000),
    }
    if quote.price is None or not servable:
        stale = _DELISTED if quote.market == DELISTED else _STALE
        return told | {"reason": _UNKNOWN if state == "unknown" else stale}
    tick = quote.price.tick
    return told | {
        "price": tick.price,
        "trustworthy": True,
        "reason": _SERVED[state],
        "source": quote.price.confirmed_by,
        "traded_at": rfc3339(tick.traded_at),
        "trade_id": tick.trade_id,
        "deviating": parts.other_markets.deviates(quote.pair, quote.price),
    }


def _witness(told: shapes.Witness) -> Witness:
    divergence = None if told.divergence_bps is None else _digits(told.divergence_bps)
    return Witness(told.exchange, _digits(told.price), told.age_ms, divergence)


def _digits(number: msgspec.Raw) -> str:
    return bytes(number).decode()


def _decision(told: shapes.Decision) -> Decision:
    """A decision without its price, because that may be a price that is refused."""
    return Decision(told.source, told.reason, told.traded_at, told.trade_id, told.received_at)


def _price_then(pair: str, time: str, found: Found) -> PriceThen:
    match found:
        case answers.PriceThen():
            return PriceThen(
                pair,
                time,
                digits(found.price),
                trustworthy=found.proof == "exact",
                reason=_PROVEN if found.proof == "exact" else _OBSERVED,
                proof=found.proof,
                traded_at=None if found.traded_at is None else rfc3339_exact(found.traded_at),
                trade_id=found.trade_id,
                evidence_until=rfc3339_exact(found.evidence_until),
            )
        case answers.Hole() | Pending():
            after = found.after if isinstance(found, answers.Hole) else None
            return PriceThen(
                pair,
                time,
                None,
                trustworthy=False,
                reason=_PENDING if isinstance(found, Pending) else _HOLE,
                missing_after=rfc3339_exact(found.before.traded_at),
                missing_before=rfc3339_exact(after.traded_at) if after else None,
            )
        case answers.Unknown():
            reason = _NO_HISTORY
            if found.kept_from is not None:
                reason = (
                    f"Trades before {rfc3339_exact(found.kept_from)} were deleted. Ask for a later moment."
                )
            return PriceThen(pair, time, None, trustworthy=False, reason=reason)
