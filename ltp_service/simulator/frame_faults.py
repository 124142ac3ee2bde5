"""Faults of single frames of Kraken's WebSocket: lost, late, repeated, out of order, or not to be used.

v1 writes numbers as texts and v2 as bare numbers: a number of the wrong type is the other way round."""

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from ltp_service.simulator.market import Trade, old_name
from ltp_service.simulator.questions import DATA, Kind, Outgoing, copies, data_delay, passes, rewrites, rows
from ltp_service.simulator.wire import rfc3339

_STAMP = re.compile(r'(?<="time_in":")[^"]+|(?<="time_out":")[^"]+')
_TICKER_STAMP = re.compile(r'(?<="timestamp":")[^"]+')
_BARE_PRICE = re.compile(r'("(?:last|price)":)([^",}]+)')
_QUOTED_NUMBER = re.compile(r'"(\d+\.\d+)"')
_V1_ROW = re.compile(r'\["([^"]+)"(,"[^"]+","[^"]+","[bs]","[lm]",""\])')

_chance = random.Random(1)


@passes
def silence(frame: Outgoing) -> bool:
    """Status and acknowledgements, then no text frame at all; the protocol's own pongs are still sent."""
    return frame.kind in (Kind.STATUS, Kind.ACK)


@passes
def heartbeats_only(frame: Outgoing) -> bool:
    """Everything but data."""
    return frame.kind not in DATA


@passes
def no_heartbeats(frame: Outgoing) -> bool:
    """Everything but heartbeats."""
    return frame.kind is not Kind.HEARTBEAT


@passes
def deaf_pair(frame: Outgoing, pair: str) -> bool:
    """The pair is acknowledged and its data never comes, while the market moves on (REST shows it)."""
    return frame.pair != pair or frame.kind not in DATA


@passes
def deaf_channel(frame: Outgoing, channel: str, pair: str | None = None) -> bool:
    """The channel (ticker or trade) of the pair, or of all, is acknowledged and has no data; the other one goes on."""
    return frame.kind.value != channel or pair not in (None, frame.pair)


@rows
def newest_first(trades: Sequence[Trade]) -> Sequence[Trade]:
    """The rows of each trade frame, snapshots included, come newest first."""
    return trades[::-1]


@rows
def equal_times(trades: Sequence[Trade]) -> Sequence[Trade]:
    """All rows of a trade frame have the time of its newest; the ids stay."""
    newest = max((trade.micros for trade in trades), default=0)
    return [replace(trade, micros=newest) for trade in trades]


@rows
def stamped_ahead(trades: Sequence[Trade], seconds: float = 4.5, pair: str | None = None) -> Sequence[Trade]:
    """Trades (of the pair) are stamped that far ahead on the trade channel; REST has their true times."""
    ahead = int(seconds * 1_000_000)
    return [
        replace(trade, micros=trade.micros + ahead) if pair in (None, trade.pair.name) else trade
        for trade in trades
    ]


@rewrites
def wrong_type(frame: Outgoing, pair: str | None = None, channel: str | None = None) -> Outgoing:
    """v2 quotes the prices of the pair and the channel (or of all), v1 does not quote them."""
    if frame.kind not in (Kind.TICKER, Kind.TRADE) or channel not in (None, frame.kind.value):
        return frame
    if frame.text.startswith("["):
        return _v1(frame, pair, _QUOTED_NUMBER, r"\1")
    return replace(frame, text=_v2_row(pair).sub(lambda row: _BARE_PRICE.sub(r'\1"\2"', row[0]), frame.text))


@rewrites
def wrong_names(frame: Outgoing, pair: str | None = None) -> Outgoing:
    """Data frames of v1 name BTC/USD for XBT/USD, those of v2 the other way round."""
    if frame.kind not in DATA or frame.pair is None or pair not in (None, frame.pair):
        return frame
    new, old = f'"{frame.pair}"', f'"{old_name(frame.pair)}"'
    told, instead = (old, new) if frame.text.startswith("[") else (new, old)
    return replace(frame, text=frame.text.replace(told, instead))


@rewrites
def null_row(frame: Outgoing, pair: str | None = None) -> Outgoing:
    """After each good row of a trade frame comes one that has no trade id (v2) or no price (v1)."""
    if frame.kind is not Kind.TRADE:
        return frame
    if frame.text.startswith("["):
        return _v1(frame, pair, _V1_ROW, r'["\1"\2,[null\2')
    bad = re.compile(r'(?<="trade_id":)\d+')
    return replace(
        frame, text=_v2_row(pair).sub(lambda row: f"{row[0]},{bad.sub('null', row[0])}", frame.text)
    )


@rewrites
def acks_behind(frame: Outgoing, seconds: float = 10.0) -> Outgoing:
    """The times in v2's acknowledgements and pongs are that far behind the exchange's clock."""
    if frame.kind not in (Kind.ACK, Kind.PONG):
        return frame
    return replace(frame, text=_STAMP.sub(lambda stamp: _earlier(stamp[0], seconds), frame.text))


@rewrites
def ticker_stamped_now(frame: Outgoing, pair: str | None = None) -> Outgoing:
    """A v2 ticker's timestamp is the moment of sending, however old the trade is that it shows."""
    if frame.kind is not Kind.TICKER or pair not in (None, frame.pair):
        return frame
    return replace(frame, text=_TICKER_STAMP.sub(rfc3339(frame.micros), frame.text))


@copies
def duplicates(frame: Outgoing, times: int = 1) -> int:
    """Each data frame comes again that many times."""
    return times if frame.kind in DATA else 0


@data_delay
def late_data(
    frame: Outgoing, seconds: float = 8.0, pair: str | None = None, channel: str | None = None
) -> float:
    """Data (of the pair, of the channel) comes that much later, in order; heartbeats and acknowledgements do not."""
    wanted = channel in (None, frame.kind.value) and pair in (None, frame.pair)
    return seconds if wanted and frame.kind in DATA else 0.0


@data_delay
def disorder(frame: Outgoing, seconds: float = 0.2) -> float:
    """Each data frame comes later by a time at random, up to that: younger ones overtake."""
    return _chance.uniform(0, seconds) if frame.kind in DATA else 0.0


def _v2_row(pair: str | None) -> re.Pattern[str]:
    name = r'[^"]+' if pair is None else re.escape(pair)
    return re.compile(r'\{"symbol":"' + name + r'"[^{}]*\}')


def _v1(frame: Outgoing, pair: str | None, wanted: re.Pattern[str], instead: str) -> Outgoing:
    if pair not in (None, frame.pair):
        return frame
    return replace(frame, text=wanted.sub(instead, frame.text))


def _earlier(stamp: str, seconds: float) -> str:
    moment = datetime.fromisoformat(stamp) - timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
