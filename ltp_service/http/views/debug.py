"""The inner state of the process, for administrators."""

import re
from collections import Counter
from collections.abc import Iterable
from ipaddress import ip_address
from threading import enumerate as living_threads

from flask import Blueprint, Response

from ltp_service.assembly.services import Services
from ltp_service.domain.tick import Price
from ltp_service.http import shapes
from ltp_service.http.answers import json_response, moment, rfc3339
from ltp_service.http.services import services
from ltp_service.keys.key import is_well_formed
from ltp_service.prices.memory import DECISIONS_PER_PAIR
from ltp_service.runtime.runners import RunnerState
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
    threads = [thread.name for thread in living_threads()]
    return json_response(
        shapes.Tasks(
            shown(parts, parts.manager.states()), _counted(parts, greenlets()), _counted(parts, threads)
        )
    )


@bp.get("/storage")
def storage() -> Response:
    """The contents of every store of this process; of the trades only their number."""
    parts = services()
    prices, trades = parts.prices, parts.trades
    held, pause = {}, parts.pauses()
    for pair, price in prices.store.all().items():
        held[str(pair)] = _price(parts, price)
        pause()
    decisions = {str(pair): len(prices.journal.decisions(pair)) for pair in parts.prices.served}
    return json_response(
        shapes.Storage(
            prices=shapes.StoredPrices(prices.store.market(), held),
            trades=shapes.StoredTrades(trades.trades.statistics(), trades.trades.counts()),
            books=trades.books.states(),
            symbols=list(trades.symbols.all()),
            journal=shapes.Journal(DECISIONS_PER_PAIR, decisions),
        )
    )


def shown(parts: Services, runners: Iterable[RunnerState]) -> list[shapes.Task]:
    """The runners, with what their errors may quote masked."""
    secret = _secret(parts)
    return [
        shapes.Task(each.name, each.alive, each.restarts, each.last_error and masked(each.last_error, secret))
        for each in runners
    ]


def _secret(parts: Services) -> str:
    return parts.config.auth_api_key.get_secret_value()


def masked(text: str, secret: str = "") -> str:
    """Without passwords, keys and addresses that an error message may quote, and without `secret`."""
    if secret and not is_well_formed(secret):
        text = text.replace(secret, "***")
    return _PRIVATE.sub("***", _MAYBE_IPV6.sub(_mask_address, text))


def _mask_address(found: re.Match[str]) -> str:
    try:
        ip_address(found[0])
    except ValueError:
        return found[0]  # a time of day
    return "***"


def _counted(parts: Services, names: Iterable[str]) -> shapes.Running:
    secret = _secret(parts)
    counts = Counter(masked(name, secret) for name in names)
    return shapes.Running(counts.total(), dict(counts.most_common()))


def _price(parts: Services, price: Price) -> shapes.HeldPrice:
    tick = price.tick
    return shapes.HeldPrice(
        price=tick.price,
        source=tick.source,
        trade_id=tick.trade_id,
        traded_at=rfc3339(tick.traded_at),
        received_at=moment(parts.clock, tick.received_at),
        confirmed_at=moment(parts.clock, price.confirmed_at),
        confirmed_by=price.confirmed_by,
    )
