"""The inner state of the process, for administrators."""

import re
from collections import Counter
from collections.abc import Iterable
from ipaddress import ip_address
from threading import enumerate as living_threads
from typing import Any

from flask import Blueprint, Response

from ltp_service.assembly import Services
from ltp_service.domain.tick import Price
from ltp_service.http.answers import json_response, moment, rfc3339
from ltp_service.http.services import services
from ltp_service.keys.key import is_well_formed
from ltp_service.prices.memory import DECISIONS_PER_PAIR
from ltp_service.runtime.spawn import greenlets

bp = Blueprint("debug", __name__, url_prefix="/debug")

_PRIVATE = re.compile(
    r"(?<=://)[^/@\s]+(?=@)"  # user and password of a URL
    r"|(?<=ltp_)[A-Za-z0-9_-]{20,}"
    r"|\b\d{1,3}(?:\.\d{1,3}){3}\b"
)
_MAYBE_IPV6 = re.compile(r"(?<![\w:])[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(?![\w:])")


@bp.get("/tasks")
def tasks() -> Response:
    """The runners, and all greenlets and threads of this process."""
    parts = services()
    secret = parts.config.auth_api_key.get_secret_value()
    return json_response(
        {
            "runners": [
                {
                    "name": state.name,
                    "alive": state.alive,
                    "restarts": state.restarts,
                    "last_error": masked(state.last_error, secret),
                }
                for state in parts.manager.states()
            ],
            "greenlets": _counted(greenlets(), secret),
            "threads": _counted((thread.name for thread in living_threads()), secret),
        }
    )


@bp.get("/storage")
def storage() -> Response:
    """The contents of every store of this process; of the trades only their number."""
    parts = services()
    prices, trades = parts.prices, parts.trades
    return json_response(
        {
            "prices": {
                "market": prices.store.market(),
                "held": {str(pair): _price(parts, price) for pair, price in prices.store.all().items()},
            },
            "trades": {"statistics": trades.trades.statistics(), "by_symbol": trades.trades.counts()},
            "books": trades.books.states(),
            "symbols": trades.symbols.all(),
            "journal": {
                "longest": DECISIONS_PER_PAIR,
                "decisions": {
                    str(pair): len(prices.journal.decisions(pair)) for pair in parts.config.supported_pairs
                },
            },
        }
    )


def masked(text: str | None, secret: str = "") -> str | None:
    """Without passwords, keys and addresses that an error message may quote, and without `secret`."""
    if text is not None and secret and not is_well_formed(secret):
        text = text.replace(secret, "***")
    return None if text is None else _PRIVATE.sub("***", _MAYBE_IPV6.sub(_mask_address, text))


def _mask_address(found: re.Match[str]) -> str:
    try:
        ip_address(found[0])
    except ValueError:
        return found[0]  # a time of day
    return "***"


def _counted(names: Iterable[str], secret: str) -> dict[str, Any]:
    counts = Counter(masked(name, secret) for name in names)
    return {"count": counts.total(), "by_name": dict(counts.most_common())}


def _price(parts: Services, price: Price) -> dict[str, Any]:
    tick = price.tick
    return {
        "price": tick.price,
        "source": tick.source,
        "trade_id": tick.trade_id,
        "traded_at": rfc3339(tick.traded_at),
        "received_at": moment(parts.clock, tick.received_at),
        "confirmed_at": moment(parts.clock, price.confirmed_at),
        "confirmed_by": price.confirmed_by,
    }
