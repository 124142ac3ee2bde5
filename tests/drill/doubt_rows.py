"""What makes a price doubtful while the line is fine: a feed that cannot be used, or is deaf, or has another clock."""

import time

from tests.drill.feed_rows import HABIT, PAIR
from tests.drill.row import PAIRS, Stage, row
from tests.drill.truth import PROVEN

DISBELIEVED = 2.0
"""Seconds after a frame that cannot be used within which REST is asked for its pair."""

LOOK = 1.0
"""Seconds to the next frame of the pair and, from REST's answer, to the next look at the price."""

LONGER = {"long": True, "walk": 200.0}
"""Each pair trades some ten times a second."""


@row("unusable", "one pair's prices quoted: no frame about it can be used", **LONGER)
def unusable(stage: Stage) -> None:
    with stage.faulty():
        stage.simulator.fault("wrong_type", pair=PAIR)
        moved = stage.until(
            lambda: stage.detail(PAIR).get("source") == "kraken:rest", 30.0, "REST is believed instead"
        )
        bound = LOOK + DISBELIEVED + stage.tempo.request
        stage.check(moved <= bound, f"REST is believed instead after {moved:.1f} s")
        stage.check(_others(stage) == {"kraken:websocket"}, "the others from the WebSocket")
        stage.hold(20.0)
        stage.simulator.clear()


@row("unusable_trades", "one pair's trades quoted, its tickers fine", **LONGER)
def unusable_trades(stage: Stage) -> None:
    with stage.faulty():
        stage.simulator.fault("wrong_type", pair=PAIR, channel="trade")
        stage.hold(20.0)
        stage.simulator.clear()


@row(
    "deaf_behind",
    "one pair deaf, 30 % off, this machine 120 s behind",
    ahead=120.0,
    unnoticed=HABIT,
    **LONGER,
)
@row(
    "deaf_ahead", "one pair deaf, 30 % off, this machine 600 s ahead", ahead=-600.0, unnoticed=HABIT, **LONGER
)
def deaf_clock(stage: Stage) -> None:
    """What settles the doubt is not thrown away as a trade of the future, or of the past."""
    with stage.faulty():
        stage.simulator.fault("deaf_pair", pair=PAIR)
        start = time.monotonic()
        price = float(stage.simulator.market(PAIR)[PAIR]["price"])
        stage.simulator.trade(PAIR, f"{1.3 * price:.1f}")
        noticed = stage.until(
            lambda: float(stage.detail(PAIR).get("amount", "0")) > 1.2 * price, HABIT + 10.0, "found deaf"
        )
        stage.check(noticed <= HABIT, f"the true price after {noticed:.1f} s")
        trusted = 0
        while time.monotonic() - start < 2 * HABIT:
            stage.hold(0.5)
            trusted += stage.detail(PAIR).get("state") in PROVEN
        stage.check(not trusted, f"{trusted} times called live or quiet afterwards")
        stage.simulator.clear()
        stage.simulator.cut()


def _others(stage: Stage) -> set[str | None]:
    return {stage.detail(pair).get("source") for pair in PAIRS if pair != PAIR}
