"""What goes wrong with second sources, and what they are for."""

import time
from decimal import Decimal
from typing import Any

from tests.drill.clients import Reading
from tests.drill.heard import Line
from tests.drill.row import PAIRS, Stage, row

BACK_WITHIN = 1.0
"""Seconds from Kraken's first evidence to the last answer with a substitute."""

FRESH = 10.0
"""Seconds without evidence after which a source does not count any more, nor stand in."""

OFF, NEAR, STEP = Decimal("1.10"), Decimal("1.05"), Decimal("0.1")
OWN = {"live", "quiet", "fallback"}

PAIR = "BTC/USD"
BOTH = tuple(pair for pair in PAIRS if pair not in ("BTC/CHF", "BTC/CAD"))
"""The pairs that Coinbase has too."""
ONE = {
    "PRICE_SOURCES": "kraken,coinbase",
    "SUBSTITUTE_SOURCES": "coinbase",
    "SUPPORTED_PAIRS": ",".join(BOTH),
}
TWO = {"PRICE_SOURCES": "kraken,coinbase,bitstamp"}
IN_TURN = TWO | {"SUBSTITUTE_SOURCES": "coinbase,bitstamp", "SUPPORTED_PAIRS": ",".join(BOTH)}
FIRST, SECOND = "coinbase:websocket", "bitstamp:websocket"
ELSEWHERE = "http/test_price_source.py"


@row("substitute", "both ways to Kraken gone, and Coinbase stands in", settings=ONE)
def substitute(stage: Stage) -> None:
    stage.until(lambda: "coinbase" in _counted(stage), 10.0, "Coinbase is heard")
    with stage.faulty():
        gone = _silence_kraken(stage)
        stage.hold(stage.tempo.of(20.0, 1.0))
        heard, back = _let_kraken_speak(stage)
        stage.simulator.clear()
    _check_return(stage, heard, back)
    stage.seen.append(lambda readings: _only_meanwhile(stage, readings, gone, back))


def _only_meanwhile(stage: Stage, readings: list[Reading], gone: float, back: float) -> None:
    """A substitute only where Kraken was silent for CACHE_TTL, then for each pair, and plain answers name it too."""
    told = [(each, served) for each in readings for served in each.served if served.is_substitute]
    soonest = gone + stage.tempo.ttl - stage.tempo.heartbeat - stage.tempo.transport
    early = [each for each, _ in told if each.answered_at < soonest]
    after = [each for each, _ in told if each.asked_at > back]
    late = [each for each in after if each.asked_at > back + stage.waited(back, each.asked_at)]
    plain = {served.pair for _, served in told if served.state is None}
    failed = [each for each in readings if each.failure or each.status != 200]
    stage.check(
        not early and not late, f"{len(told):,} substitutes, {len(early)} too early, {len(late)} too late"
    )
    stage.check(not failed, f"{len(failed)} answers without a price")
    stage.check(plain == set(BOTH), f"{len(plain)} pairs named in plain answers")


@row(
    "substitutes",
    "Kraken silent altogether, two exchanges may stand in",
    settings=IN_TURN,
    elsewhere=ELSEWHERE,
)
def substitutes(stage: Stage) -> None:
    stage.until(lambda: len(_counted(stage)) == 3, 10.0, "three exchanges are heard")
    with stage.faulty():
        gone = _silence_kraken(stage)
        stage.hold(stage.tempo.of(20.0, 1.0))
        heard, back = _let_kraken_speak(stage)
        stage.simulator.clear()
    _check_return(stage, heard, back)
    stage.seen.append(lambda readings: _only_meanwhile(stage, readings, gone, back))
    stage.seen.append(lambda readings: _named(stage, readings, {FIRST}))


@row(
    "substitute_dies",
    "Kraken silent altogether, and one exchange that stands in falls silent, then the other",
    settings=IN_TURN,
    elsewhere=ELSEWHERE,
)
def substitute_dies(stage: Stage) -> None:
    stage.until(lambda: len(_counted(stage)) == 3, 10.0, "three exchanges are heard")
    with stage.faulty():
        _silence_kraken(stage)
        stage.hold(stage.tempo.of(5.0, 0.5))
        first_dead = _kill(stage, "coinbase")
        took = stage.until(lambda: _sources(stage) == {SECOND}, FRESH + 5.0, "the other exchange stands in")
        stage.check(took <= FRESH + 0.5, f"the other took over after {took:.1f} s")
        stage.hold(stage.tempo.of(5.0, 0.5))
        second_dead = _kill(stage, "bitstamp")
        stage.dark_from = second_dead - stage.tempo.ttl
        # A request asks REST before it is refused, and that takes its time.
        took = stage.until(lambda: not _served(stage), FRESH + 15.0, "no price is served")
        stage.check(took <= FRESH + 1.5, f"refused {took:.1f} s after the other died, too")
        stage.hold(stage.tempo.of(5.0, 0.5))
        heard, back = _let_kraken_speak(stage)
        stage.simulator.clear()
    _check_return(stage, heard, back)
    stage.seen.append(lambda readings: _named(stage, readings, {FIRST, SECOND}))
    stage.seen.append(
        lambda readings: _never_fresher(stage, readings, {FIRST: first_dead, SECOND: second_dead})
    )


@row("off", "Kraken's price is 10 % off those of two other exchanges", settings=TWO, elsewhere=ELSEWHERE)
def off(stage: Stage) -> None:
    stage.until(lambda: len(_counted(stage)) == 3, 10.0, "three exchanges are heard")
    with stage.faulty():
        usual = _price(stage)
        stage.simulator.trade(PAIR, str((usual * OFF).quantize(STEP)))
        start = time.monotonic()
        stage.until(lambda: stage.detail(PAIR).get("deviating") is True, 10.0, "deviating is told")
        told = stage.since(start)
        gauge = f'btc_ltp_price_deviating{{pair="{PAIR}"}} 1.0'
        stage.until(lambda: gauge in stage.service.get("/metrics").body.decode(), 5.0, "the gauge is 1")
        stage.hold(stage.tempo.of(10.0, 1.0))
        item = stage.detail(PAIR)
        served, median = Decimal(str(item["amount"])), Decimal(str(item["consensus"]["median"]))
        stage.check(
            item["source"].startswith("kraken:"), f"deviating after {told:.1f} s, from {item['source']}"
        )
        stage.check(served > usual * NEAR > median, f"served {served}, the median {median}")
        stage.simulator.trade(PAIR, str(usual.quantize(STEP)))
        stage.until(lambda: stage.detail(PAIR).get("deviating") is False, 10.0, "it deviates no longer")
    stage.heard.append(lambda heard: _streamed(stage, heard))


def _streamed(stage: Stage, heard: list[Line]) -> None:
    items = [item for line in heard for _, item in line.items.get(PAIR, [])]
    told = [item for item in items if item.get("deviating") is True]
    stage.check(bool(told), f"{len(told):,} events say so")


def _silence_kraken(stage: Stage) -> float:
    """Both ways are gone; returns when every pair has a substitute, the moment of the loss."""
    stage.simulator.fault("rest_status", status=503)
    stage.simulator.fault("refuse")
    stage.simulator.cut(exchange="kraken")
    gone = time.monotonic()
    stage.until(
        lambda: _states(stage) == {"substitute"}, stage.tempo.ttl + 5.0, "every pair has a substitute"
    )
    return gone


def _let_kraken_speak(stage: Stage) -> tuple[float, float]:
    """When its feed connected, and when no pair had a substitute any more."""
    stage.simulator.fault("refuse", on=False)
    stage.until(stage.connected, 65.0, "Kraken's feed connects")
    heard = time.monotonic()
    stage.until(lambda: _states(stage) <= OWN, 10.0, "every pair has Kraken's price")
    return heard, time.monotonic()


def _check_return(stage: Stage, heard: float, back: float) -> None:
    took = back - heard
    stage.check(took <= BACK_WITHIN + stage.waited(heard, back), f"back {took:.2f} s after the connection")


def _kill(stage: Stage, exchange: str) -> float:
    """The exchange says nothing more, on either way."""
    stage.simulator.fault("restricted", exchange=exchange)
    stage.simulator.fault("freeze", exchange=exchange)
    return time.monotonic()


def _named(stage: Stage, readings: list[Reading], names: set[str]) -> None:
    """Every substitute has the source of an exchange that may stand in, in a plain answer by its header."""
    told = {
        served.source or served.elsewhere
        for each in readings
        for served in each.served
        if served.is_substitute
    }
    stage.check(told == names, f"substitutes from {', '.join(sorted(map(str, told)))}")


def _never_fresher(stage: Stage, readings: list[Reading], dead: dict[str, float]) -> None:
    """No price of a dead exchange is younger than its death, nor served for longer than it may live."""
    young = late = 0
    for each in readings:
        slack = stage.tempo.transport + stage.waited(each.asked_at, each.answered_at)
        for served in (one for one in each.served if one.is_substitute):
            since = dead[str(served.source or served.elsewhere)]
            age = None if served.age_ms is None else int(served.age_ms) / 1000
            young += age is not None and each.asked_at - since > age + slack
            late += each.asked_at > since + FRESH + slack
    stage.check(
        not young and not late, f"{young} prices of a dead exchange called too young, {late} too late"
    )


@row("liar", "one of three exchanges lies, then two", settings=TWO, elsewhere=ELSEWHERE)
def liar(stage: Stage) -> None:
    stage.until(lambda: len(_counted(stage)) == 3, 10.0, "three exchanges are heard")
    with stage.faulty():
        stage.simulator.fault("lie", exchange="coinbase", percent=20)
        stage.until(lambda: _spread(stage) > 1500, 15.0, "one lies")
        outside = [found for found in (_explained(stage) for _ in range(50)) if not _is_between(found)]
        stage.check(not outside, f"the median was {len(outside)} times outside of the two honest prices")
        stage.check(stage.detail(PAIR).get("deviating") is not True, "one liar accuses no other source")
        stage.simulator.fault("lie", exchange="bitstamp", percent=20)
        stage.until(
            lambda: stage.detail(PAIR).get("deviating") is True, 15.0, "two liars accuse Kraken's price"
        )
        stage.check(stage.service.get("/api/v1/ltp").status == 200, "and it is served all the same")
        stage.simulator.clear()


@row("dead_source", "one of three exchanges falls silent", settings=TWO, elsewhere=ELSEWHERE)
def dead_source(stage: Stage) -> None:
    stage.until(lambda: len(_counted(stage)) == 3, 10.0, "three exchanges are heard")
    with stage.faulty():
        stage.simulator.fault("freeze", exchange="coinbase")
        took = stage.until(
            lambda: "coinbase" not in _counted(stage), FRESH + 5.0, "it does not count any more"
        )
        stage.check(took <= FRESH + 0.5, f"it left the median after {took:.1f} s")
        consensus = stage.detail(PAIR).get("consensus", {})
        stage.check(consensus.get("median") is None and bool(consensus.get("reason")), "null, with a reason")
        stage.simulator.clear()


def _states(stage: Stage) -> set[str]:
    items = stage.service.get("/api/v1/ltp?detail=true").json().get("ltp", [])
    return {str(item["state"]) for item in items}


def _sources(stage: Stage) -> set[str]:
    items = stage.service.get("/api/v1/ltp?detail=true").json().get("ltp", [])
    return {str(item["source"]) for item in items}


def _served(stage: Stage) -> bool:
    """Whether any price is served."""
    return stage.service.get("/api/v1/ltp").status != 503


def _price(stage: Stage) -> Decimal:
    return Decimal(str(stage.detail(PAIR)["amount"]))


def _counted(stage: Stage) -> list[str]:
    """The exchanges that count."""
    names: list[str] = stage.detail(PAIR).get("consensus", {}).get("sources", [])
    return names


def _spread(stage: Stage) -> float:
    return float(stage.detail(PAIR).get("consensus", {}).get("spread_bps") or 0)


def _explained(stage: Stage) -> dict[str, Any]:
    found: dict[str, Any] = stage.service.get(f"/api/v1/ltp/explain?pair={PAIR}").json()
    return found


def _is_between(found: dict[str, Any]) -> bool:
    """Whether the median is between the prices of the exchanges that do not lie; true where one was not heard lately."""
    honest = [Decimal(each["price"]) for each in found["exchanges"] if each["exchange"] != "coinbase"]
    median = found["consensus"]["median"]
    return median is None or min(honest) <= Decimal(median) <= max(honest)
