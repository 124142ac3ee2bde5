"""The control doors of Bybit and Binance: trades, books and floods of them, and what was really sent."""

import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ltp_service.simulator.bybit_books import size
from ltp_service.simulator.market import SpotTape
from ltp_service.simulator.order_book import Half
from ltp_service.simulator.spot import Spot
from ltp_service.simulator.venue_flood import BookChurn, TradeFlood
from ltp_service.simulator.wire import Refusal

_LEVELS = 50

Arguments = dict[str, Any]
Door = Callable[[Arguments], object]


class Stoppable(Protocol):
    """A flood of any kind."""

    def stop(self) -> None: ...


class VenueControl:
    """Every door takes `exchange`, and `symbol` (or `symbols`)."""

    def __init__(self, venues: Mapping[str, Spot]) -> None:
        self._venues = venues
        self._floods: list[Stoppable] = []
        self.doors: dict[tuple[str, str], Door] = {
            ("POST", "exchange_trade"): self._trade,
            ("POST", "exchange_flood"): self._flood,
            ("GET", "exchange_trades"): self._trades,
            ("POST", "book"): self._change_book,
            ("GET", "book"): self._book,
        }

    def all(self) -> list[Spot]:
        return list(self._venues.values())

    def active(self) -> list[dict[str, Any]]:
        return [fault for venue in self._venues.values() for fault in venue.faults.active()]

    def clear(self) -> None:
        """Ends all faults and floods."""
        for venue in self._venues.values():
            venue.clear_faults()
        for flood in self._floods:
            flood.stop()
        self._floods.clear()

    def venue(self, arguments: Mapping[str, Any]) -> Spot:
        name = str(arguments.get("exchange"))
        if name not in self._venues:
            raise Refusal(f"no exchange {name!r}; there are {', '.join(self._venues)}", 404)
        return self._venues[name]

    def _tape(self, venue: Spot, symbol: object) -> SpotTape:
        with venue.lock:
            tape = venue.market.find(str(symbol))
        if tape is None:
            raise Refusal(
                f"no symbol {symbol!r}: write BTCUSDT, in upper case, with a known quote currency", 404
            )
        return tape

    def _trade(self, arguments: Arguments) -> object:
        """`time` in seconds and `id` are optional; `silent` puts it on the tape and on no wire."""
        venue = self.venue(arguments)
        tape = self._tape(venue, arguments.get("symbol"))
        if arguments.get("block") and not venue.dialect.prints_blocks:
            raise Refusal(f"{venue.name} has no block trades among its trades")
        moment = arguments.get("time")
        with venue.lock:
            trade = venue.market.trade(
                tape.pair,
                str(arguments["price"]),
                volume=arguments.get("quantity"),
                side=arguments.get("side"),
                micros=None if moment is None else round(float(moment) * 1_000_000),
                trade_id=arguments.get("id"),
                block=bool(arguments.get("block")),
            )
            venue.publish([trade], silent=bool(arguments.get("silent")))
        return {
            "symbol": trade.pair.name,
            "price": trade.price,
            "time": trade.seconds,
            "trade_id": trade.trade_id,
        }

    def _flood(self, arguments: Arguments) -> object:
        venue = self.venue(arguments)
        tapes = [self._tape(venue, symbol) for symbol in arguments.get("symbols", ["BTCUSDT"])]
        flood = TradeFlood(venue, tapes, int(arguments.get("seed", 1)))
        rate, seconds = float(arguments.get("rate", 100)), float(arguments.get("seconds", 1))
        return {"trades": self._run(flood, lambda: flood.run(rate, seconds), arguments)}

    def _run(self, flood: Stoppable, run: Callable[[], int], arguments: Arguments) -> int | None:
        self._floods.append(flood)
        if arguments.get("background"):
            threading.Thread(target=run, name="flood", daemon=True).start()
            return None
        return run()

    def _trades(self, arguments: Arguments) -> object:
        """The ids of all trades that happened, `blocks` apart; each one of them with `list`."""
        venue = self.venue(arguments)
        tape = self._tape(venue, arguments.get("symbol"))
        with venue.lock:
            ranges, blocks = tape.ids.ranges(), tape.block_ids.ranges()
        answer: dict[str, object] = {
            "first": ranges[0][0] if ranges else None,
            "last": ranges[-1][1] if ranges else None,
            "count": sum(last - first + 1 for first, last in ranges),
            "ranges": ranges,
            "blocks": blocks,
        }
        if arguments.get("list"):
            answer["ids"] = [number for first, last in ranges for number in range(first, last + 1)]
        return answer

    def _change_book(self, arguments: Arguments) -> object:
        """`updates` random ones, of which `gaps` get lost; or `restart`, Bybit's u=1."""
        venue = self.venue(arguments)
        tape = self._tape(venue, arguments.get("symbol"))
        if arguments.get("restart"):
            venue.restart_book(tape)
            return {"updates": 0}
        churn = BookChurn(venue, tape, int(arguments.get("seed", 1)))
        updates, gaps = int(arguments.get("updates", 1)), int(arguments.get("gaps", 0))
        rate = float(arguments.get("rate", 0))
        return {"updates": self._run(churn, lambda: churn.run(updates, gaps, rate), arguments)}

    def _book(self, arguments: Arguments) -> object:
        """The true book, best first, [price, size] as texts without superfluous zeros in the size."""
        venue = self.venue(arguments)
        tape = self._tape(venue, arguments.get("symbol"))
        depth = int(arguments.get("depth", _LEVELS))
        with venue.lock:
            book = tape.book
            return {"bids": _rows(tape, book.bids, depth), "asks": _rows(tape, book.asks, depth)}


def _rows(tape: SpotTape, half: Half, depth: int) -> list[list[str]]:
    return [[tape.pair.price(ticks), size(units)] for ticks, units in half.top(depth).items()]
