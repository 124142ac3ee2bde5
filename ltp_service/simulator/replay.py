"""A recorded session (`dir`, `raw` and perhaps `t` per line) played at its times to each client that subscribes."""

import json
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ltp_service.simulator.dialect import Topic
from ltp_service.simulator.kraken import Client, Kraken
from ltp_service.simulator.market import KrakenMarket, Pair
from ltp_service.simulator.questions import Kind

SPACING_SECONDS = 0.05
_NEW_CODES = {"XBT": "BTC", "XDG": "DOGE"}


@dataclass(frozen=True, slots=True)
class Observation:
    """One trade as a frame tells it; texts as on the wire."""

    pair: str
    price: str
    volume: str | None
    micros: int | None
    trade_id: int | None


@dataclass(frozen=True, slots=True)
class Line:
    """A frame, `delay` seconds after the client's subscription."""

    delay: float
    raw: str
    kind: Kind
    pair: str | None
    observations: tuple[Observation, ...]


class Recording:
    """The frames of a file that went to the client. Raises ValueError when it has none."""

    def __init__(self, path: Path) -> None:
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        self.lines = list(_lines(records))
        if not self.lines:
            raise ValueError(f"{path} has no record with dir=in")
        self.first: dict[str, Observation] = {}
        for line in self.lines:
            for observation in line.observations:
                self.first.setdefault(observation.pair, observation)
        self._acknowledged = {_acknowledged(line.raw) for line in self.lines if line.kind is Kind.ACK}

    @property
    def has_status(self) -> bool:
        return any(line.kind is Kind.STATUS for line in self.lines)

    def acknowledges(self, channel: str, pair: str) -> bool:
        return (channel, pair) in self._acknowledged

    def pairs(self) -> Iterable[Pair]:
        """The recorded pairs, starting at the first price seen of each."""
        for name, observation in self.first.items():
            base, quote = name.split("/")
            decimals = len(observation.price.partition(".")[2])
            yield Pair(base, quote, decimals, decimals, observation.price)

    def rewind(self, market: KrakenMarket) -> None:
        """Puts the recorded pairs back to before the first frame, so that recorded times are not in the past."""
        for name, observation in self.first.items():
            micros = observation.micros or market.now()
            market.restart(market.tapes[name].pair, micros - 1_000_000)


class Player:
    """Plays a recording once to each connection; the market follows what it plays."""

    def __init__(self, recording: Recording, exchange: Kraken, speed: float) -> None:
        self._recording = recording
        self._exchange = exchange
        self._speed = speed
        self.has_status = recording.has_status

    def acknowledges(self, topic: Topic) -> bool:
        return self._recording.acknowledges(topic.channel, topic.pair)

    def plays(self, pair: str) -> bool:
        return pair in self._recording.first

    def start(self, connection: Client) -> None:
        threading.Thread(target=self._play, args=(connection,), name="replay", daemon=True).start()

    def _play(self, connection: Client) -> None:
        started = time.monotonic()
        for line in self._recording.lines:
            due = started + line.delay / self._speed - time.monotonic()
            if connection.wait_closed(max(0.0, due)):
                return
            with self._exchange.lock:
                for observation in line.observations:
                    self._follow(observation)
                connection.say(line.raw, line.kind, line.pair)
        connection.start_heartbeats()

    def _follow(self, seen: Observation) -> None:
        market = self._exchange.market
        tape = market.tapes[seen.pair]
        trade = market.trade(
            tape.pair, seen.price, volume=seen.volume, micros=seen.micros, trade_id=seen.trade_id
        )
        tape.add([trade])


def _lines(records: list[dict[str, Any]]) -> Iterator[Line]:
    base: float | None = next((record.get("t") for record in records if record["dir"] == "out"), None)
    delay = 0.0
    for record in records:
        if record["dir"] != "in":
            continue
        moment = record.get("t")
        if base is None:
            base = moment
        delay = (
            max(delay, moment - base) if moment is not None and base is not None else delay + SPACING_SECONDS
        )
        kind, pair = _kind(record["raw"])
        yield Line(delay, record["raw"], kind, pair, tuple(_observations(record["raw"], moment)))


def _canonical(name: str) -> str:
    return "/".join(_NEW_CODES.get(code, code) for code in name.split("/"))


def _kind(raw: str) -> tuple[Kind, str | None]:
    content = json.loads(raw)
    if isinstance(content, list):
        return (Kind.TRADE if content[-2] == "trade" else Kind.TICKER), _canonical(content[-1])
    word = content.get("event") or content.get("channel") or content.get("method")
    match word:
        case "systemStatus" | "status":
            return Kind.STATUS, None
        case "heartbeat":
            return Kind.HEARTBEAT, None
        case "pong":
            return Kind.PONG, None
        case "ticker" | "trade" | "book" if content.get("data"):
            return (Kind.TRADE if word == "trade" else Kind.TICKER), content["data"][0].get("symbol")
    return Kind.ACK, None


def _acknowledged(raw: str) -> tuple[str, str]:
    content = json.loads(raw)
    if content.get("event") == "subscriptionStatus":
        return content["subscription"]["name"], _canonical(content["pair"])
    result = content.get("result")
    if not isinstance(result, dict):
        return "", ""
    return result.get("channel", ""), result.get("symbol", "")


def _observations(raw: str, moment: float | None) -> Iterator[Observation]:
    content = json.loads(raw, parse_float=str, parse_int=str)
    received = None if moment is None else int(moment * 1_000_000)
    if isinstance(content, list):
        yield from _of_v1(content, received)
    elif content.get("channel") in ("ticker", "trade"):
        yield from _of_v2(content, received)


def _of_v1(content: list[Any], received: int | None) -> Iterator[Observation]:
    pair = _canonical(content[-1])
    if content[-2] == "ticker":
        price, volume = content[1]["c"]
        yield Observation(pair, price, volume, received, None)
    elif content[-2] == "trade":
        for row in content[1]:
            seconds, _, micros = row[2].partition(".")
            yield Observation(
                pair, row[0], row[1], int(seconds) * 1_000_000 + int(micros.ljust(6, "0")), None
            )


def _of_v2(content: dict[str, Any], received: int | None) -> Iterator[Observation]:
    for entry in content["data"]:
        stamp = entry.get("timestamp")
        micros = int(datetime.fromisoformat(stamp).timestamp() * 1_000_000) if stamp else received
        trade_id = int(entry["trade_id"]) if "trade_id" in entry else None
        yield Observation(
            entry["symbol"], entry.get("last", entry.get("price")), entry.get("qty"), micros, trade_id
        )
