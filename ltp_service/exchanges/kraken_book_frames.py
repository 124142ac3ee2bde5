"""The channel `book` of Kraken's WebSocket protocols v2 and v1, in both directions; pure.

Source: docs.kraken.com/api/docs/websocket-v2/book and docs.kraken.com/exchange/api-reference/spot-websocket-v1/book.
Neither protocol numbers the updates, so those of the events here are all 0.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from ltp_service.domain.book import BookChange, BookSnapshot, Level, read_levels
from ltp_service.domain.errors import BadFrame
from ltp_service.domain.pairs import Pair, canonical_code, kraken_v1_symbol
from ltp_service.exchanges import kraken_v1 as v1
from ltp_service.exchanges import kraken_v2 as v2
from ltp_service.feed.messages import Acknowledged, Ended, Event, Invalid, Parsed, Refused, Request

CHANNEL = "book"

DEPTH = 10
"""Levels of each side that are subscribed: as many as the checksum covers, so that each level is checked."""

# Protocol v2.


class _Frame(msgspec.Struct):
    type: str
    data: list[msgspec.Raw]


class _LevelV2(msgspec.Struct):
    # Numbers come bare; Raw keeps the digits, which a float would lose and the checksum needs.
    price: msgspec.Raw
    qty: msgspec.Raw


class _Book(msgspec.Struct):
    # {"symbol":"BTC/USD","bids":[],"asks":[{"price":85601.6,"qty":0}],"checksum":3973935795,
    #  "timestamp":"2026-10-06T08:04:56.153890Z"}
    symbol: str
    bids: list[_LevelV2] = []
    asks: list[_LevelV2] = []
    checksum: int | None = None
    timestamp: datetime | None = None


_FRAME = msgspec.json.Decoder(_Frame)
_BOOK = msgspec.json.Decoder(_Book)


class DialectV2:
    """Both directions; pure."""

    ping = staticmethod(v2.ping)

    def write(self, request: Request, request_id: int) -> str:
        """The text that asks for it; each symbol is answered alone, and then with its book."""
        params: dict[str, object] = {"channel": request.channel, "symbol": request.symbols, "depth": DEPTH}
        if request.verb == "subscribe":
            params["snapshot"] = True
        text = {"method": request.verb, "params": params, "req_id": request_id}
        return msgspec.json.encode(text).decode()

    def parse(self, frame: str) -> Parsed:
        """What a frame means. Raises BadFrame, or what msgspec raises for text of the wrong shape."""
        parsed = v2.parse(frame)
        if parsed.kind != CHANNEL:
            return _about_requests(parsed)
        message = _FRAME.decode(frame)
        is_snapshot = message.type == "snapshot"
        return Parsed(CHANNEL, [_parse_v2(row, is_snapshot=is_snapshot) for row in message.data])


def _parse_v2(row: msgspec.Raw, *, is_snapshot: bool) -> Event:
    symbol = v2.name_of(row)
    try:
        book = _BOOK.decode(row)
        told_at = v2.unix(book.timestamp)
        bids, asks = _levels_v2(book.bids), _levels_v2(book.asks)
        return _event(symbol, bids, asks, told_at, book.checksum, DEPTH if is_snapshot else None)
    except BadFrame as error:
        return Invalid(error.reason, f"book of {symbol}: {error}", symbol)
    except (msgspec.MsgspecError, ValueError) as error:
        return Invalid("malformed", f"book of {symbol}: {error}", symbol)


def _levels_v2(levels: Sequence[_LevelV2]) -> list[Level]:
    return read_levels((_text(level.price), _text(level.qty)) for level in levels)


def _text(number: msgspec.Raw) -> str:
    return bytes(number).decode("ascii", "replace")


# Protocol v1.


Rows = list[list[str]]


class _Half(msgspec.Struct):
    # {"b":[["27116.80000","0.14741986","1693415325.036931","r"]],"c":"3139033408"}; "r" marks a level that comes back into
    # the depth. A snapshot has "as" and "bs", and no "c".
    asks_now: Rows | None = msgspec.field(name="as", default=None)
    bids_now: Rows | None = msgspec.field(name="bs", default=None)
    asks: Rows = msgspec.field(name="a", default=[])
    bids: Rows = msgspec.field(name="b", default=[])
    checksum: str | None = msgspec.field(name="c", default=None)


_PARTS = msgspec.json.Decoder(list[msgspec.Raw])
_HALF = msgspec.json.Decoder(_Half)
_TEXT = msgspec.json.Decoder(str)


class DialectV1:
    """Both directions; pure. Symbols are the pairs that the rest of the service knows: BTC/USD, where Kraken says XBT/USD."""

    ping = staticmethod(v1.ping)

    def write(self, request: Request, request_id: int) -> str:
        """The text that asks for it; each symbol is answered alone, and then with its book."""
        text = {
            "event": request.verb,
            "reqid": request_id,
            "pair": [kraken_v1_symbol(Pair(*symbol.split("/"))) for symbol in request.symbols],
            "subscription": {"name": request.channel, "depth": DEPTH},
        }
        return msgspec.json.encode(text).decode()

    def parse(self, frame: str) -> Parsed:
        """What a frame means. Raises BadFrame, or what msgspec raises for text of the wrong shape."""
        parsed = v1.parse(frame)
        if parsed.kind == CHANNEL:
            return Parsed(CHANNEL, [_parse_v1(_PARTS.decode(frame))])
        parsed = _about_requests(parsed)
        return msgspec.structs.replace(parsed, events=[_renamed(event) for event in parsed.events])


def _renamed(event: Event) -> Event:
    if isinstance(event, Acknowledged | Ended | Refused) and event.symbol is not None:
        return msgspec.structs.replace(event, symbol=_pair_of(event.symbol))
    return event


def _pair_of(symbol: str) -> str:
    return "/".join(map(canonical_code, symbol.split("/")))


def _parse_v1(parts: Sequence[msgspec.Raw]) -> Event:
    # [channelID, payload, (payload of the other side,) "book-10", "XBT/USD"]
    symbol = _pair_of(_TEXT.decode(parts[-1]))
    try:
        halves = [_HALF.decode(payload) for payload in parts[1:-2]]
        whole = halves[0]
        if whole.bids_now is not None or whole.asks_now is not None:
            depth = int(_TEXT.decode(parts[-2]).removeprefix("book-"))
            return _read_v1(symbol, whole.bids_now or [], whole.asks_now or [], None, depth)
        bids = [row for half in halves for row in half.bids]
        asks = [row for half in halves for row in half.asks]
        checksum = next((int(half.checksum) for half in halves if half.checksum is not None), None)
        return _read_v1(symbol, bids, asks, checksum, None)
    except BadFrame as error:
        return Invalid(error.reason, f"book of {symbol}: {error}", symbol)
    except (msgspec.MsgspecError, ValueError) as error:
        return Invalid("malformed", f"book of {symbol}: {error}", symbol)


def _read_v1(symbol: str, bids: Rows, asks: Rows, checksum: int | None, depth: int | None) -> Event:
    if any(len(row) < 3 for row in (*bids, *asks)):
        raise BadFrame("a level of fewer than three fields", reason="shape")
    # The time of a level that comes back, which has a fourth field, is older than the update.
    times = [v1.read_time(row[2]) for row in (*bids, *asks) if len(row) == 3]
    changed_at = max(times, default=None)
    levels_of_bids, levels_of_asks = (read_levels((row[0], row[1]) for row in rows) for rows in (bids, asks))
    return _event(symbol, levels_of_bids, levels_of_asks, changed_at, checksum, depth)


# Both.


def _about_requests(parsed: Parsed) -> Parsed:
    """Without what the price feed is there for, such as whether orders are matched."""
    kept = [event for event in parsed.events if isinstance(event, Acknowledged | Ended | Refused)]
    return msgspec.structs.replace(parsed, events=kept)


def _event(
    symbol: str,
    bids: Sequence[Level],
    asks: Sequence[Level],
    changed_at: float | None,
    checksum: int | None,
    depth: int | None,
) -> Event:
    """A snapshot where there is a depth, else a change. Raises BadFrame for a change that nothing can check."""
    if depth is not None:
        return BookSnapshot(symbol, 0, bids, asks, changed_at, depth, checksum)
    if checksum is None:
        raise BadFrame("an update without a checksum", reason="shape")
    return BookChange(symbol, 0, 0, bids, asks, changed_at, checksum)
