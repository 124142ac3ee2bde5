"""The state of the collectors, and the trades and books that they have collected."""

from flask import Blueprint, Response, request
from msgspec import UNSET

from ltp_service.assembly.services import Services
from ltp_service.collected.kraken_tape import EXCHANGE as KRAKEN
from ltp_service.collected.kraken_tape import KrakenTape
from ltp_service.domain.book import BookView
from ltp_service.domain.errors import InvalidParameter, NotFound
from ltp_service.domain.trade import MAX_COLLECTED_SYMBOLS, Trade
from ltp_service.feed.books import BookCollector
from ltp_service.feed.contract import Gap, Link
from ltp_service.feed.trades import TradeCollector
from ltp_service.http import params, shapes
from ltp_service.http.answers import json_response, moment, number, rfc3339
from ltp_service.http.services import services
from ltp_service.http.views.books import level

bp = Blueprint("collectors", __name__, url_prefix="/collectors")

MAX_TRADES, MAX_DEPTH = 100, 50
"""Most trades, and most levels of each side, in one answer."""


@bp.get("/status")
def status() -> Response:
    """Every collector by its name."""
    parts = services()
    return json_response(
        shapes.Collectors({name: _told(parts, link) for name, link in parts.links().items()})
    )


@bp.get("/status/<name>")
def one(name: str) -> Response:
    """One collector."""
    parts = services()
    link = parts.link(name)
    if link is None:
        raise NotFound(f"no such collector runs here; there are {', '.join(parts.collectors) or 'none'}")
    return json_response(_told(parts, link))


@bp.get("/trades")
def trades() -> Response:
    """The newest trades first, of one symbol or exchange or of all."""
    parts = services()
    limit = params.whole(request.args, "limit", 50, (1, MAX_TRADES))
    exchange = _exchange(parts, *([KRAKEN] if parts.prices.tape else []))
    # Kraken's symbols are pairs, which may be written with a slash.
    symbol = params.symbol(request.args, may_be_pair=True)
    found = [] if exchange == KRAKEN else parts.trades.trades.recent(symbol, exchange, limit)
    if parts.prices.tape and exchange in {None, KRAKEN}:
        found += _kraken_trades(parts, parts.prices.tape, symbol, limit)
    recent = sorted(found, key=lambda trade: trade.timestamp, reverse=True)[:limit]
    return json_response(shapes.Trades([_trade(trade) for trade in recent]))


def _kraken_trades(parts: Services, tape: KrakenTape, symbol: str | None, limit: int) -> list[Trade]:
    if symbol is None:
        return tape.recent(None, limit)
    pairs = (pair for pair in parts.prices.served if symbol == f"{pair.base}{pair.quote}")
    return [trade for pair in pairs for trade in tape.recent(pair, limit)]


@bp.get("/books")
def books() -> Response:
    """The order books of one symbol, one per exchange."""
    parts = services()
    depth = params.whole(request.args, "depth", 10, (1, MAX_DEPTH))
    symbol, exchange = params.needed_symbol(request.args, may_be_pair=True), _exchange(parts)
    exchanges = [exchange] if exchange else _exchanges(parts, BookCollector)
    asked = [(name, each) for name in exchanges for each in _symbols_of(parts, name, symbol)]
    views = [(name, each, parts.trades.books.view(each, name, depth)) for name, each in asked]
    return json_response(shapes.Books([_book(parts, name, each, view) for name, each, view in views if view]))


def _symbols_of(parts: Services, exchange: str, symbol: str) -> list[str]:
    """How the exchange writes a symbol that is given without a slash: one of Kraken's is a pair that is served here."""
    if exchange != KRAKEN:
        return [symbol]
    return [str(pair) for pair in parts.prices.served if f"{pair.base}{pair.quote}" == symbol]


@bp.get("/storage/stats")
def statistics() -> Response:
    """The counters of the trade storage."""
    return json_response(services().trades.trades.statistics())


@bp.get("/symbols")
def symbols() -> Response:
    """The collected symbols, in the order they were added."""
    return _symbols(services())


@bp.post("/symbols")
def add() -> Response:
    """Starts collecting a symbol: 201, or 200 when it is collected already."""
    parts = services()
    added = parts.trades.symbols.add(params.needed_symbol(request.args))
    return _symbols(parts, 201 if added else 200)


@bp.delete("/symbols/<symbol>")
def remove(symbol: str) -> Response:
    """Stops collecting a symbol."""
    parts = services()
    if not parts.trades.symbols.remove(params.read_symbol(symbol)):
        raise NotFound("that symbol is not collected; see /collectors/symbols")
    return _symbols(parts)


def _symbols(parts: Services, status: int = 200) -> Response:
    return json_response(shapes.Symbols(list(parts.trades.symbols.all()), MAX_COLLECTED_SYMBOLS), status)


def _exchange(parts: Services, *more: str) -> str | None:
    """The exchange that is asked for: one that is collected, or one of `more`."""
    exchange = request.args.get("exchange", "").lower()
    known = list(dict.fromkeys([*more, *_exchanges(parts, TradeCollector, BookCollector)]))
    if exchange and exchange not in known:
        raise InvalidParameter(f"exchange must be one that is collected here: {', '.join(known) or 'none'}")
    return exchange or None


def _exchanges(parts: Services, *kinds: type[TradeCollector] | type[BookCollector]) -> list[str]:
    found = (each.exchange for each in parts.trades.collectors.values() if isinstance(each, kinds))
    return list(dict.fromkeys(found))


def _told(parts: Services, link: Link) -> shapes.Collector:
    return shapes.Collector(
        name=link.name,
        state=link.state,
        healthy=link.connected and link.problem is None,
        connected=link.connected,
        generation=link.generation,
        attempts=link.attempts,
        last_frame_at=moment(parts.clock, link.last_frame_at),
        last_error=link.last_error,
        problem=link.problem,
        subscriptions=link.subscriptions,
        gaps=UNSET if link.gaps is None else [_gap(gap) for gap in link.gaps],
    )


def _gap(gap: Gap) -> shapes.Gap:
    return shapes.Gap(rfc3339(gap.since), rfc3339(gap.until), gap.symbol, gap.missing)


def _trade(trade: Trade) -> shapes.Trade:
    return shapes.Trade(
        exchange=trade.exchange,
        symbol=trade.symbol,
        side=trade.side,
        price=number(trade.price),
        quantity=number(trade.quantity),
        timestamp=rfc3339(trade.timestamp),
        trade_id=trade.trade_id,
        received_at=rfc3339(trade.received_at),
        raw=trade.raw,
    )


def _book(parts: Services, exchange: str, symbol: str, view: BookView) -> shapes.Book:
    """A book out of sync is shown without prices, because changes may be missing."""
    bids = [level(each) for each in view.bids if view.in_sync]
    asks = [level(each) for each in view.asks if view.in_sync]
    age = parts.clock.monotonic() - view.received_at if view.received_at is not None else None
    return shapes.Book(
        exchange=exchange,
        symbol=symbol,
        in_sync=view.in_sync,
        best_bid=bids[0] if bids else None,
        best_ask=asks[0] if asks else None,
        bids=bids,
        asks=asks,
        changed_at=rfc3339(view.changed_at),
        received_at=moment(parts.clock, view.received_at),
        age_ms=None if age is None else round(max(0.0, age) * 1000),
    )
