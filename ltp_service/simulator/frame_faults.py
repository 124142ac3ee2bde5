"""Faults of single frames: lost, late, repeated, out of order, or not to be used.

Kraken's v1 writes numbers as texts and v2 as bare numbers: a number of the wrong type is the other way round."""

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from ltp_service.simulator.market import Trade, is_plausible, old_name
from ltp_service.simulator.questions import DATA, Kind, Outgoing, copies, data_delay, passes, rewrites, rows
from ltp_service.simulator.switches import KRAKEN, SPOT
from ltp_service.simulator.wire import rfc3339

_STAMP = re.compile(r'(?<="time_in":")[^"]+|(?<="time_out":")[^"]+')
_TICKER_STAMP = re.compile(r'(?<="timestamp":")[^"]+')
_BARE_PRICE = re.compile(r'("(?:last|price)":)([^",}]+)')
_QUOTED_NUMBER = re.compile(r'"(\d+\.\d+)"')
_V1_ROW = re.compile(r'\["([^"]+)"(,"[^"]+","[^"]+","[bs]","[lm]",""\])')
_TRADE_ID = re.compile(r'(?<="trade_id":)\d+')
_BYBIT_ROW = re.compile(r'\{"i":"\d+"([^{}]*\})')
_MESSAGE_ID = re.compile(r'("e":"trade"[^{}]*"t":|"type":"match","trade_id":|"data":\{"id":)\d+')
"""The id of a trade that comes in a message of its own: Binance's, Coinbase's, Bitstamp's."""
_MILLISECONDS = re.compile(r'(?<="[TE]":)\d{13}(?!\d)|(?<="ts":)\d{13}(?!\d)|(?<="cts":)\d{13}(?!\d)')
_CHECKSUM = re.compile(r'(?<="checksum":)\d+|(?<="c":")\d+')
_ONCE_IN_ORDER = frozenset({Kind.BOOK})
"""Data whose messages are numbered without a hole: no fault repeats them or changes their order."""

_chance = random.Random(1)


@passes(KRAKEN)
def silence(frame: Outgoing) -> bool:
    """Status and acknowledgements, then no text frame at all; the protocol's own pongs are still sent."""
    return frame.kind in (Kind.STATUS, Kind.ACK)


@passes(KRAKEN)
def heartbeats_only(frame: Outgoing) -> bool:
    """Everything but data."""
    return frame.kind not in DATA


@passes(KRAKEN)
def no_heartbeats(frame: Outgoing) -> bool:
    """Everything but heartbeats."""
    return frame.kind is not Kind.HEARTBEAT


@passes()
def deaf_pair(frame: Outgoing, pair: str) -> bool:
    """The pair is acknowledged and its data never comes, while the market moves on (REST shows it)."""
    return frame.pair != pair or frame.kind not in DATA


@passes()
def deaf_channel(frame: Outgoing, channel: str, pair: str | None = None) -> bool:
    """The channel (ticker, trade or book) of the pair, or of all, is acknowledged and has no data; the others go on."""
    return frame.kind.value != channel or pair not in (None, frame.pair)


@passes(SPOT)
def lost_trades(frame: Outgoing, every: int = 3, pair: str | None = None) -> bool:
    """Every so many trade events (of the pair) get lost on their way: their ids are missing."""
    return not frame.number or frame.number % every != 0 or pair not in (None, frame.pair)


@rows(KRAKEN)
def newest_first(trades: Sequence[Trade]) -> Sequence[Trade]:
    """The rows of each trade frame, snapshots included, come newest first."""
    return trades[::-1]


@rows(KRAKEN)
def equal_times(trades: Sequence[Trade]) -> Sequence[Trade]:
    """All rows of a trade frame have the time of its newest; the ids stay."""
    newest = max((trade.micros for trade in trades), default=0)
    return [replace(trade, micros=newest) for trade in trades]


@rows(KRAKEN)
def stamped_ahead(trades: Sequence[Trade], seconds: float = 4.5, pair: str | None = None) -> Sequence[Trade]:
    """Trades (of the pair) are stamped that far ahead on the trade channel; REST has their true times."""
    ahead = int(seconds * 1_000_000)
    return [
        replace(trade, micros=trade.micros + ahead) if pair in (None, trade.pair.name) else trade
        for trade in trades
    ]


@rows(SPOT)
def lie(trades: Sequence[Trade], percent: float = 20.0, pair: str | None = None) -> Sequence[Trade]:
    """Prices (of the pair) are told that many percent higher, and the market has the true ones."""
    return [
        replace(trade, price=_raised(trade.price, percent)) if pair in (None, trade.pair.name) else trade
        for trade in trades
    ]


@rewrites(KRAKEN)
def wrong_type(frame: Outgoing, pair: str | None = None, channel: str | None = None) -> Outgoing:
    """v2 quotes the prices of the pair and the channel (or of all), v1 does not quote them."""
    if frame.kind not in (Kind.TICKER, Kind.TRADE) or channel not in (None, frame.kind.value):
        return frame
    if not frame.is_v1:
        row = _v2_row(pair)
        return frame.each(lambda text: row.sub(lambda found: _BARE_PRICE.sub(r'\1"\2"', found[0]), text))
    return frame.each(lambda text: _QUOTED_NUMBER.sub(r"\1", text)) if pair in (None, frame.pair) else frame


@rewrites(KRAKEN)
def wrong_names(frame: Outgoing, pair: str | None = None) -> Outgoing:
    """Data frames of v1 name BTC/USD for XBT/USD, those of v2 the other way round."""
    if frame.kind not in DATA or frame.pair is None or pair not in (None, frame.pair):
        return frame
    new, old = f'"{frame.pair}"', f'"{old_name(frame.pair)}"'
    told, instead = (old, new) if frame.is_v1 else (new, old)
    return frame.each(lambda text: text.replace(told, instead))


@rewrites()
def null_row(frame: Outgoing, pair: str | None = None) -> Outgoing:
    """After each good trade (of the pair) comes a row (Binance, Coinbase, Bitstamp: a message) without its id (Kraken's v1: its price)."""
    if frame.kind is not Kind.TRADE:
        return frame
    row = _v2_row(pair)
    frame = frame.each(
        lambda text: row.sub(lambda found: f"{found[0]},{_TRADE_ID.sub('null', found[0])}", text)
    )
    if pair not in (None, frame.pair):
        return frame
    frame = frame.each(lambda text: _V1_ROW.sub(r'["\1"\2,[null\2', text))
    frame = frame.each(lambda text: _BYBIT_ROW.sub(r'\g<0>,{"i":null\1', text))
    nulls = {text: _MESSAGE_ID.sub(r"\1null", text) for text in frame.texts if _MESSAGE_ID.search(text)}
    texts = [each for text in frame.texts for each in ((text, nulls[text]) if text in nulls else (text,))]
    return replace(frame, texts=tuple(texts))


@rewrites(KRAKEN)
def acks_behind(frame: Outgoing, seconds: float = 10.0) -> Outgoing:
    """The times in v2's acknowledgements and pongs are that far behind the exchange's clock."""
    if frame.kind not in (Kind.ACK, Kind.PONG):
        return frame
    return frame.each(lambda text: _STAMP.sub(lambda stamp: _earlier(stamp[0], seconds), text))


@rewrites(KRAKEN)
def ticker_stamped_now(frame: Outgoing, pair: str | None = None) -> Outgoing:
    """A v2 ticker's timestamp is the moment of sending, however old the trade is that it shows."""
    if frame.kind is not Kind.TICKER or pair not in (None, frame.pair):
        return frame
    return frame.each(lambda text: _TICKER_STAMP.sub(rfc3339(frame.micros), text))


@rewrites(KRAKEN)
def bad_checksum(frame: Outgoing, pair: str | None = None) -> Outgoing:
    """The checksums of the order book (of the pair, or of all) are wrong."""
    if frame.kind is not Kind.BOOK or pair not in (None, frame.pair):
        return frame
    return frame.each(lambda text: _CHECKSUM.sub(lambda found: str(int(found[0]) ^ 1), text))


@rewrites(SPOT)
def microseconds(frame: Outgoing) -> Outgoing:
    """Times are in microseconds, as Binance sends them to those who ask for it."""
    return frame.each(lambda text: _MILLISECONDS.sub(r"\g<0>000", text)) if frame.kind in DATA else frame


@copies()
def duplicates(frame: Outgoing, times: int = 1) -> int:
    """Each data frame but a book's comes again that many times."""
    return times if frame.kind in DATA - _ONCE_IN_ORDER else 0


@data_delay(KRAKEN)
def late_data(
    frame: Outgoing, seconds: float = 8.0, pair: str | None = None, channel: str | None = None
) -> float:
    """Data (of the pair, of the channel) comes that much later, in order; heartbeats and acknowledgements do not."""
    return seconds if channel in (None, frame.kind.value) and pair in (None, frame.pair) else 0.0


@data_delay()
def disorder(frame: Outgoing, seconds: float = 0.2) -> float:
    """Each data frame but a book's comes later by a time at random, up to that: younger ones overtake."""
    return 0.0 if frame.kind in _ONCE_IN_ORDER else _chance.uniform(0, seconds)


def _v2_row(pair: str | None) -> re.Pattern[str]:
    name = r'[^"]+' if pair is None else re.escape(pair)
    return re.compile(r'\{"symbol":"' + name + r'"[^{}]*\}')


def _earlier(stamp: str, seconds: float) -> str:
    moment = datetime.fromisoformat(stamp) - timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _raised(price: str, percent: float) -> str:
    if not is_plausible(price):
        return price
    factor = 1 + Decimal(str(percent)) / 100
    return f"{Decimal(price) * factor:.{len(price.partition('.')[2])}f}"
