"""What goes wrong with second sources, and what they are for."""

import time
from decimal import Decimal
from typing import Any

from tests.drill.clients import Reading
from tests.drill.row import PAIRS, Stage, row

BACK_WITHIN = 1.0
"""Seconds from Kraken's first evidence to the last answer with a substitute."""

FRESH = 10.0
"""Seconds without evidence after which a source does not count any more."""

PAIR = "BTC/USD"
BOTH = tuple(pair for pair in PAIRS if pair not in ("BTC/CHF", "BTC/CAD"))
"""The pairs that Coinbase has too."""
ONE = {
    "PRICE_SOURCES": "kraken,coinbase",
    "SUBSTITUTE_SOURCES": "coinbase",
    "SUPPORTED_PAIRS": ",".join(BOTH),
}
TWO = {"PRICE_SOURCES": "kraken,coinbase,bitstamp"}
ELSEWHERE = "http/test_price_source.py"


@row("substitute", "both ways to Kraken gone, and Coinbase stands in", settings=ONE)
def substitute(stage: Stage) -> None:
    ttl = stage.tempo.ttl
    stage.until(lambda: "coinbase" in _counted(stage), 10.0, "Coinbase is heard")
    with stage.faulty():
        stage.simulator.fault("rest_status", status=503)
        stage.simulator.fault("refuse")
        stage.simulator.cut(exchange="kraken")
        gone = time.monotonic()
        stage.until(lambda: _states(stage) == {"substitute"}, ttl + 5.0, "every pair has a substitute")
        stage.hold(stage.tempo.of(20.0, 1.0))
        stage.simulator.fault("refuse", on=False)
        stage.until(stage.connected, 65.0, "Kraken's feed connects")
        heard = time.monotonic()
        stage.until(lambda: "substitute" not in _states(stage), 10.0, "no pair has a substitute")
        back = time.monotonic()
        stage.simulator.clear()
    took = stage.since(heard)
    stage.check(took <= BACK_WITHIN, f"back {back - heard:.2f} s after the connection")
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


@row("liar", "one of three exchanges lies, then two", settings=TWO, elsewhere=ELSEWHERE)
def liar(stage: Stage) -> None:
    stage.until(lambda: len(_counted(stage)) == 3, 10.0, "three exchanges are heard")
    with stage.faulty():
        stage.simulator.fault("lie", exchange="coinbase", percent=20)
        stage.until(lambda: _spread(stage) > 1500, 15.0, "one lies")
        outside = [found for found in (_explained(stage) for _ in range(50)) if not _is_between(found)]
        stage.check(not outside, f"the median was {len(outside)} times outside of the two honest prices")
        stage.check(stage.detail(PAIR).get("deviating") is not True, "one liar accuses nobody")
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
