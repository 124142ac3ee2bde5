"""What a stream has told of each pair, and what of it the user is told. No I/O."""

from collections.abc import Iterable, Iterator
from typing import Any

from ltp_service.client.events import Event, Gap, Trade, Unavailable
from ltp_service.client.fields import seconds
from ltp_service.client.policy import Told, read_gap, read_price, read_trade
from ltp_service.client.settings import Settings


class Ledger:
    """What is told of each pair, and what of it the user knows."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._told: dict[str, Told] = {}
        self._shown: dict[str, str] = {}
        """Of each pair what the user knows: `price`, or the kind of the objection."""
        self._positions: dict[str, int] = {}
        """The id of the last trade of each pair that is told, or is in a gap that is told."""
        self._doubtful: set[str] = set()
        """Pairs whose next trade may have any id, as the stream has not resumed."""

    def forget_shown(self) -> None:
        """The line is dead: of no pair the user knows anything."""
        self._shown.clear()
        self._told.clear()

    def read(self, name: str, data: dict[str, Any], arrived: float) -> Iterable[Event]:
        """What the user is to be told of an event. Raises ValueError for one that cannot be read."""
        match name:
            case "hello":
                if data.get("resumed") is not True:
                    self._doubtful.update(self._positions)
            case "price":
                price = read_price(data, arrived)
                self._told[price.pair] = price
                if self._shown.get(price.pair) == "price":
                    del self._shown[price.pair]  # this one is another
                return self._show(price)
            case "trade":
                return self._trade(read_trade(data))
            case "gap":
                return self._gap(read_gap(data))
            case "heartbeat":
                self._confirm(data, arrived)
                return (event for told in list(self._told.values()) for event in self._show(told))
        return ()

    def supersede(self, pair: str) -> None:
        """The next price of the pair is left out, for a later one waits: up to that one nothing confirms what is held."""
        self._told.pop(pair, None)

    def doubt(self, pair: str) -> Iterable[Event]:
        """A price of the pair has come that cannot be read: there is none before the next one."""
        told = self._told.get(pair)
        if told is None:
            return ()
        told.amount = None
        return self._show(told)

    def _show(self, told: Told) -> Iterator[Event]:
        """The price, or that there is none now, unless the user knows. The policy is asked when the user takes it."""
        now = self._settings.clock()
        objection = told.objection(self._settings.max_age, now)
        shown = "price" if objection is None else objection[0]
        if self._shown.get(told.pair) != shown:
            self._shown[told.pair] = shown
            yield (
                told.as_price(now) if objection is None else Unavailable(told.pair, told.state, objection[1])
            )

    def _confirm(self, data: dict[str, Any], arrived: float) -> None:
        ages = data.get("evidence_age_ms")
        if not isinstance(ages, dict):
            raise ValueError("evidence_age_ms is missing")
        evidence = {pair: arrived - seconds(age) for pair, age in ages.items() if age is not None}
        for pair, told in self._told.items():
            if pair in evidence:  # older than before, too: the service has withdrawn what it said
                told.told_at, told.evidence_at = arrived, evidence[pair]
            else:
                told.amount = None

    def _gap(self, gap: Gap) -> Iterator[Event]:
        after, before = gap.after_trade_id, gap.before_trade_id
        is_anew = after is not None and before is not None and before <= after  # the exchange numbers anew
        last = 0 if is_anew or gap.pair in self._doubtful else self._positions.get(gap.pair, 0)
        self._doubtful.discard(gap.pair)
        if gap.before_trade_id is None:
            self._positions.pop(gap.pair, None)
        else:
            self._positions[gap.pair] = max(last, gap.before_trade_id - 1)
        yield gap

    def _trade(self, trade: Trade) -> Iterator[Event]:
        """A trade, unless it is told already; before it, what is missing and was not told as a gap."""
        last = self._positions.get(trade.pair)
        if last is not None and trade.trade_id != last + 1:
            if trade.trade_id <= last and trade.pair not in self._doubtful:
                return
            yield Gap(trade.pair, last, trade.trade_id, None, trade.traded_at)
        self._doubtful.discard(trade.pair)
        self._positions[trade.pair] = trade.trade_id
        yield trade
