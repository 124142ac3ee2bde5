"""Starts the simulator as a process of its own and drives it; for tests and benchmarks, one thread each."""

import http.client
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

PROJECT = Path(__file__).resolve().parents[2]
STOP_SECONDS = 60.0
REPLY_SECONDS = 90.0


class SimulatorError(Exception):
    """The simulator did not start, or refused a command; the message is its own."""


class Simulator:
    """A running simulator. Use `with Simulator.start("--walk") as simulator:`."""

    def __init__(self, process: subprocess.Popen[bytes], addresses: Mapping[str, Any]) -> None:
        self._process = process
        self.port: int = addresses["port"]
        self.v1_url: str = addresses["kraken_v1"]
        self.v2_url: str = addresses["kraken_v2"]
        self.rest_url: str = addresses["kraken_rest"]
        self.bybit_url: str = addresses["bybit"]
        self.binance_url: str = addresses["binance"]
        self.coinbase_url: str = addresses["coinbase"]
        self.bitstamp_url: str = addresses["bitstamp"]
        self.bitstamp_rest_url: str = addresses["bitstamp_rest"]
        self._door = http.client.HTTPConnection("127.0.0.1", self.port, timeout=REPLY_SECONDS)

    @classmethod
    def start(cls, *arguments: str, python: str = sys.executable, directory: Path = PROJECT) -> Self:
        """Returns when it listens. Raises SimulatorError when it exits instead."""
        command = [python, "-m", "ltp_service.simulator", "--until-stdin-closes", *arguments]
        process = subprocess.Popen(command, cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise SimulatorError(f"the simulator exited with {process.wait()}: {' '.join(command)}")
        return cls(process, json.loads(line))

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        """Ends the process and waits for it."""
        self._door.close()
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def trade(self, pair: str, price: str, **more: Any) -> dict[str, Any]:
        """A trade now (volume, side, time, id, silent are optional): on the market and on every socket on return."""
        return self._post("trade", {"pair": pair, "price": price, **more})

    def restart(self, pair: str, age: float) -> dict[str, Any]:
        """Makes the pair's history one trade that old (in seconds), at its start price."""
        return self._post("restart", {"pair": pair, "age": age})

    def fault(self, name: str, on: bool = True, **arguments: Any) -> dict[str, Any]:
        return self._post("fault", {"name": name, "on": on, **arguments})

    def clear(self) -> None:
        """Ends all faults and floods."""
        self._post("clear", {})

    def cut(self, how: str = "abrupt", code: int = 1000, exchange: str | None = None) -> int:
        """Drops all WebSocket connections, or those of one exchange (`abrupt`, `clean` or `reset`); returns how many."""
        only = {} if exchange is None else {"exchange": exchange}
        dropped: int = self._post("cut", {"how": how, "code": code, **only})["dropped"]
        return dropped

    def send_text(self, text: str, repeat: int = 1, fragments: int = 1) -> None:
        """One text message to every connection: `text` repeated, cut into `fragments` frames."""
        self._post("send", {"text": text, "repeat": repeat, "fragments": fragments})

    def send_binary(self, content: bytes) -> None:
        """One binary message to every connection."""
        self._post("send", {"binary": content.hex()})

    def send_bytes(self, content: bytes) -> None:
        """Raw bytes on every WebSocket connection's socket."""
        self._post("send", {"hex": content.hex()})

    def flood(
        self, pair: str, rate: float = 0, seconds: float = 1.0, *, background: bool = False
    ) -> int | None:
        """`rate` ticker frames per second (0: as fast as they are read); returns the frames sent, None in the background."""
        arguments = {"pairs": [pair], "rate": rate, "seconds": seconds, "background": background}
        frames: int | None = self._post("flood", arguments)["sent"]
        return frames

    def walk(self, rate: float = 5.0, on: bool = True) -> None:
        self._post("walk", {"rate": rate, "on": on})

    def market(self, *pairs: str, after: float | None = None) -> dict[str, dict[str, Any]]:
        """Per pair (all, when none is named) price, time, trade_id and history of [time, price], newest last.

        The history has 200 rows; with `after` (unix seconds) all that are later, as [time, price, trade_id]."""
        query = {"pairs": ",".join(pairs)} if pairs else {}
        if after is not None:
            query["after"] = str(after)
        return self._call("GET", f"market?{urlencode(query)}", None)

    def counters(self, exchange: str = "kraken") -> dict[str, Any]:
        return self._call("GET", "counters?" + urlencode({"exchange": exchange}), None)

    def wait(self, timeout: float = 60.0, exchange: str = "kraken", **numbers: int) -> dict[str, Any]:
        """Blocks until the exchange's counters reach `connections`, `subscriptions`, `rest_calls`, … and returns them.

        Raises SimulatorError after `timeout` seconds."""
        query = urlencode({**numbers, "timeout": timeout, "exchange": exchange})
        return self._call("GET", f"wait?{query}", None)

    def exchange_trade(self, exchange: str, symbol: str, price: str, **more: Any) -> dict[str, Any]:
        """A trade of Bybit's or Binance's now (volume, side, time, id, block, silent are optional)."""
        return self.trade(symbol, price, exchange=exchange, **more)

    def exchange_flood(
        self,
        exchange: str,
        *symbols: str,
        rate: float = 100,
        seconds: float = 1.0,
        seed: int = 1,
        background: bool = False,
    ) -> int | None:
        """`rate` trades per second over the symbols; returns the trades, None in the background."""
        arguments = {
            "exchange": exchange,
            "pairs": symbols,
            "rate": rate,
            "seconds": seconds,
            "seed": seed,
            "background": background,
        }
        trades: int | None = self._post("flood", arguments)["sent"]
        return trades

    def exchange_trades(self, exchange: str, symbol: str) -> dict[str, Any]:
        """The ids of all trades that happened: first, last, count, ranges of [first, last]; blocks apart."""
        query = urlencode({"exchange": exchange, "pair": symbol})
        return self._call("GET", f"trades?{query}", None)

    def kraken_trades(self, pair: str, after: int = 0) -> dict[str, Any]:
        """The same of Kraken, and `rows` [id, price, volume, side, time] of the last 20,000 with an id above `after`."""
        return self._call("GET", "trades?" + urlencode({"pair": pair, "after": after}), None)

    def change_book(self, exchange: str, symbol: str, updates: int = 1, **more: Any) -> None:
        """Random updates of a book (gaps, rate, seed, restart, background are optional)."""
        self._post("book", {"exchange": exchange, "pair": symbol, "updates": updates, **more})

    def book(self, exchange: str, symbol: str, depth: int = 50) -> dict[str, list[list[str]]]:
        """The true book now: bids and asks, best first, [price, size] as texts."""
        query = urlencode({"exchange": exchange, "pair": symbol, "depth": depth})
        return self._call("GET", f"book?{query}", None)

    def tops(self, pair: str, after: float = 0.0) -> list[list[Any]]:
        """Kraken's true best bids and asks: [since, [price, size], [price, size]], oldest first, the one of `after` too."""
        tops: list[list[Any]] = self._call("GET", "tops?" + urlencode({"pair": pair, "after": after}), None)  # type: ignore[assignment]
        return tops

    def _post(self, door: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return self._call("POST", door, json.dumps(arguments).encode())

    def _call(self, method: str, door: str, body: bytes | None) -> dict[str, Any]:
        self._door.request(method, f"/control/{door}", body)
        reply = self._door.getresponse()
        content: dict[str, Any] = json.loads(reply.read())
        if reply.status != 200:
            raise SimulatorError(content["error"])
        return content
