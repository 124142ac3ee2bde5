"""Bitstamp's public feed: last trades. It does not begin with the newest one, so REST is asked for that.

Source: bitstamp.net/websocket/v2 (live ticker, heartbeat, forced reconnection), bitstamp.net/api (transactions)
"""

from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Any

import msgspec

from ltp_service.domain.decimals import read_price
from ltp_service.domain.errors import BadFrame, ExchangeError, Unlisted
from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import Tick
from ltp_service.feed.contract import Equipment, Newest, Terms
from ltp_service.feed.last_trades import LastTradeCollector
from ltp_service.feed.loop import ASK_AGAIN_AFTER_REFUSAL_SECONDS
from ltp_service.feed.messages import (
    Acknowledged,
    Event,
    Invalid,
    LastTrade,
    Leaving,
    Parsed,
    Refused,
    Request,
)
from ltp_service.meters import CONNECTION_ERRORS
from ltp_service.prices.accept import compare
from ltp_service.prices.store import Outcome, Store

URL = "wss://ws.bitstamp.net"

TRADES = "live_trades"

TERMS = Terms(ping_every=3.0, pong_within=7.0, symbols_per_request=1, messages_per_second=20)

CACHED_SECONDS = 2.0
"""Seconds for which an answer of REST may have been in a cache, where its headers do not tell."""

EMPTY_FOR_SECONDS = 55.0
"""Seconds that certainly had no trade when REST has none of the last minute; a cache is part of that minute."""

ASK_APART_SECONDS = 1.0
"""Least seconds between two questions. Ten a second would be within the exchange's limit."""

SILENT_SECONDS = 10.0
"""Seconds without a trade after which REST is asked whether the subscription is deaf. Until then a deaf pair counts as a
quiet one, because the frames of other pairs prove that the connection is alive."""

UNASKED_SECONDS = 20.0
"""Seconds after a trade of the stream or an answer of REST in which frames of the connection are evidence. Later ones are none:
REST, which should have been asked meanwhile, has too many symbols to tell of, or does not answer."""

ASK_AGAIN_SECONDS = 4.0
"""Seconds until REST is asked again about a trade that is still under way on the stream, or that REST does not know yet."""

LONGEST_RETRY_SECONDS = 60.0
"""The longest wait in seconds after a failure of REST, unless REST asks for a longer one."""


class _Frame(msgspec.Struct):
    event: str | None = None
    channel: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"{}")


class _Trade(msgspec.Struct):
    """`{"id":216000477,"price":3805.44,"price_str":"3805.44","microtimestamp":"1641343699596000",…}`

    The numbers beside the texts are floats.
    """

    id: int
    price_str: str
    microtimestamp: str


class _Error(msgspec.Struct):
    message: str = "no reason given"
    code: Any = None


class _Transaction(msgspec.Struct):
    """`{"date":"1641343699","tid":"216000477","amount":"0.07920000","type":"0","price":"3805.44"}`"""

    date: str
    tid: str | int
    price: str


_FRAME = msgspec.json.Decoder(_Frame)
_TRADE = msgspec.json.Decoder(_Trade)
_ERROR = msgspec.json.Decoder(_Error)
_TRANSACTIONS = msgspec.json.Decoder(list[_Transaction])


class Dialect:
    """Both directions; pure."""

    def write(self, request: Request, request_id: int) -> str:
        """The request for one symbol. The exchange knows no ids of requests."""
        channel = f"{request.channel}_{request.symbols[0]}"
        return msgspec.json.encode({"event": f"bts:{request.verb}", "data": {"channel": channel}}).decode()

    def ping(self, request_id: int) -> str:
        """The exchange answers with the same event."""
        return '{"event":"bts:heartbeat"}'

    def parse(self, frame: str) -> Parsed:
        """What a frame means. Raises what msgspec raises for text of the wrong shape."""
        message = _FRAME.decode(frame)
        channel, _, symbol = (message.channel or "").rpartition("_")
        match message.event:
            case "trade" if channel == TRADES:
                return Parsed("trade", (_parse_trade(message.data, symbol),))
            case "bts:heartbeat":
                return Parsed("pong", ())
            case "bts:subscription_succeeded" if channel == TRADES:
                return Parsed("acknowledgement", (Acknowledged(channel, symbol),))
            case "bts:request_reconnect":
                return Parsed("shutdown", (Leaving(),))
            case "bts:error":
                return Parsed("refusal", (_parse_error(message.data, symbol or None),))
        return Parsed("unknown", ())


def _parse_trade(data: msgspec.Raw, symbol: str) -> Event:
    try:
        trade = _TRADE.decode(data)
        return _last_trade(symbol, trade.id, trade.price_str, int(trade.microtimestamp) / 1_000_000)
    except BadFrame as error:
        return Invalid(error.reason, f"trade of {symbol}: {error}", symbol)
    except (msgspec.MsgspecError, ValueError) as error:
        return Invalid("malformed", f"trade of {symbol}: {error}", symbol)


def _last_trade(
    symbol: str, trade_id: int, price: str, traded_at: float, *, snapshot: bool = False
) -> LastTrade:
    if trade_id <= 0 or traded_at <= 0:
        raise BadFrame(f"trade {trade_id} at {traded_at:g}", reason="shape")
    return LastTrade(symbol, price, read_price(price), traded_at, trade_id, snapshot)


def _parse_error(data: msgspec.Raw, symbol: str | None) -> Refused:
    error = _ERROR.decode(data)
    message = error.message if error.code is None else f"{error.message} ({error.code})"
    return Refused(message, None, symbol)


def read_newest(symbol: str, body: bytes | str) -> LastTrade | None:
    """The newest of REST's transactions; None where there are none. Raises BadFrame when one of them cannot be read,
    because that one may be the newest."""
    try:
        rows = _TRANSACTIONS.decode(body)
        newest = max(rows, key=lambda row: int(row.tid), default=None)
        if newest is None:
            return None
        return _last_trade(symbol, int(newest.tid), newest.price, float(int(newest.date)), snapshot=True)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadFrame(f"transactions of {symbol}: {error}", reason="malformed") from None


class BitstampLastTrades(LastTradeCollector):
    """`live_trades`. Frames of the connection are the evidence, the answers to its own heartbeats among them.

    The ids of a symbol have holes, so that the stream cannot prove that nothing was missed. REST is asked about a symbol
    that is silent, and without its answer frames soon are no evidence for that symbol.
    """

    name = exchange = "bitstamp"
    url, terms = URL, TERMS
    dialect, channels, proof = Dialect(), (TRADES,), "either"
    source = "bitstamp:websocket"

    def __init__(self, pairs: Iterable[Pair], store: Store, equipment: Equipment) -> None:
        super().__init__(pairs, store, equipment)
        self._ask = equipment.newest
        self._ask_at: dict[str, float] = {}
        """Symbol → the monotonic second from which on REST is to be asked about it."""
        self._settled_at: dict[str, float] = {}
        """Symbol → the newest monotonic second at which its stream or REST showed which trade was the last one."""
        self._next_ask_at = 0.0
        self._pause = ASK_APART_SECONDS

    @staticmethod
    def symbol_of(pair: Pair) -> str:
        """The symbol of a pair, for example `btcusd`."""
        return f"{pair.base}{pair.quote}".lower()

    def confirm(self, symbols: Sequence[str], at: float) -> None:
        states = self._subscriptions.states
        self.confirm_held(
            [
                symbol
                for symbol in symbols
                if states[symbol].acknowledged and at - self._settled_at.get(symbol, -inf) <= UNASKED_SECONDS
            ],
            at,
        )

    def put(self, symbol: str, tick: Tick, *, is_present: bool) -> Outcome:
        outcome = super().put(symbol, tick, is_present=is_present)
        if outcome != "older":
            self._ask_at[symbol] = tick.received_at + SILENT_SECONDS
            if symbol not in self._doubted:
                self._settled_at[symbol] = tick.evidence_at
        return outcome

    # REST.

    def _acknowledged(self, accepted: Acknowledged, now: float) -> None:
        super()._acknowledged(accepted, now)
        self._ask_soon(accepted.symbol, now)

    def symbol_unusable(self, symbol: str, now: float) -> None:
        super().symbol_unusable(symbol, now)
        self._ask_soon(symbol, now)

    def _ask_soon(self, symbol: str, now: float) -> None:
        """Plans a question to REST for the moment when no cache can still hold an answer from before `now`."""
        self._ask_at[symbol] = min(self._ask_at.get(symbol, inf), now + CACHED_SECONDS)

    def tended(self, now: float) -> None:
        self._subscriptions.mark_silent(now)
        if self._ask is None or now < self._next_ask_at:
            return
        states = self._subscriptions.states
        due = [
            symbol
            for symbol, at in self._ask_at.items()
            if at <= now and symbol in states and states[symbol].acknowledged
        ]
        if due:
            self._question(self._ask, min(due, key=self._ask_at.__getitem__), now)

    def _question(self, ask: Callable[[str], Newest], symbol: str, asked_at: float) -> None:
        """Asks about one symbol. The loop waits meanwhile, and frames wait in the socket."""
        self._ask_at[symbol] = asked_at + SILENT_SECONDS
        try:
            newest = ask(symbol)
            self._learn(symbol, newest, asked_at, self._clock.monotonic())
            self._pause = ASK_APART_SECONDS
        except Unlisted as error:
            self._request_refused(Refused(str(error), TRADES, symbol), asked_at)
        except ExchangeError as error:
            self._last_error = f"REST: {error}"
            self._meters.count(CONNECTION_ERRORS, self.name, f"rest_{error.reason}")
            wanted = min(error.retry_after or 0.0, ASK_AGAIN_AFTER_REFUSAL_SECONDS)
            self._pause = max(wanted, min(LONGEST_RETRY_SECONDS, 2 * self._pause))
            self._ask_at[symbol] = asked_at + self._pause
        self._next_ask_at = self._clock.monotonic() + self._pause

    def _learn(self, symbol: str, newest: Newest, asked_at: float, now: float) -> None:
        state = self._subscriptions.states[symbol]
        evidence_at = asked_at - newest.cached_for
        if evidence_at < max(self._doubted.get(symbol, 0.0), *state.acknowledged.values()):
            self._ask_at[symbol] = now + ASK_AGAIN_SECONDS
        elif newest.trade is None:
            self._confirm_without_trades(symbol, evidence_at)
        else:
            tick = self.tick_of(newest.trade, now, "bitstamp:rest")
            self._take_from_rest(symbol, msgspec.structs.replace(tick, delay=now - evidence_at))

    def _confirm_without_trades(self, symbol: str, at: float) -> None:
        """REST had no trade in the minute before `at`, so the trade that was the last one within that minute still is.

        Frames may have confirmed it for UNASKED_SECONDS after that was last known, also in another process of the fleet.
        """
        pair = self._pairs[symbol]
        held = self._store.get(pair)
        if held is not None and held.confirmed_at - UNASKED_SECONDS >= at - EMPTY_FOR_SECONDS:
            self._subscriptions.hear(symbol)
            self._doubted.pop(symbol, None)
            self._settled_at[symbol] = at
            self._store.confirm((pair,), at, "bitstamp:rest")

    def _take_from_rest(self, symbol: str, tick: Tick) -> None:
        held = self._store.get(tick.pair)
        is_new = compare(held, tick) == "newer"
        is_heard = self._subscriptions.states[symbol].in_step and symbol not in self._doubted
        if held is None or not (is_new and is_heard):
            if self.put(symbol, tick, is_present=True) == "older":
                self._ask_at[symbol] = tick.received_at + ASK_AGAIN_SECONDS
        elif self.is_missing(symbol, tick.trade_id or 0, held.newest_trade_id or 0):
            self.put(symbol, tick, is_present=True)
            self.missed(symbol, 1, tick.received_at)
        else:
            self._ask_at[symbol] = tick.received_at + ASK_AGAIN_SECONDS

    # The life of a connection.

    def connected(self, now: float) -> None:
        super().connected(now)
        self._ask_at.clear()
        self._settled_at.clear()

    def symbols_changed(self, added: Sequence[str], removed: Sequence[str], now: float) -> None:
        super().symbols_changed(added, removed, now)
        for symbol in removed:
            self._ask_at.pop(symbol, None)
            self._settled_at.pop(symbol, None)
