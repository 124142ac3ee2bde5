"""What an exchange's WebSocket does wrong."""

import struct
import time
from collections.abc import Callable
from itertools import cycle, islice

from tests.drill.row import PAIRS, Stage, row

CODES = ((1000, "clean"), (1001, "clean"), (1012, "clean"), (0, "abrupt"), (0, "reset"))
FAST = {"KRAKEN_RECONNECT_DELAY": "50ms", "KRAKEN_MAX_RECONNECT_TRIES": "20"}
FRAMES = {"settings": FAST, "beside": "frames"}
PAIR = "BTC/USD"
SETTLED = 0.3
"""Seconds of data after which a connection is one that worked; shorter lives are the row `flap`."""

FOLLOWS = 3.0
"""Seconds after the loss of the feed within which prices follow REST."""

HABIT = 30.0
"""Seconds within which a pair that traded every second must be found deaf."""


@row(
    "cut",
    "socket cut 100 times: 1000, 1001, 1012, FIN, RST",
    settings=FAST,
    elsewhere="process/test_reconnecting.py",
)
def cut(stage: Stage) -> None:
    number, gaps = int(stage.tempo.of(100, 10)), []
    with stage.faulty():
        for code, how in islice(cycle(CODES), number):
            stage.simulator.cut(how, code or 1000)
            cut_at = time.monotonic()
            stage.until(lambda: stage.simulator.counters()["connections_open"] == 0, 1.0, "the cut")
            stage.until(stage.fed, 10.0, "the feed is back after a cut")
            gaps.append(stage.since(cut_at))
            stage.hold(SETTLED)
    gaps.sort()
    stage.check(gaps[-1] < 6.0, f"{number} cuts, gap p50 {gaps[number // 2]:.2f} s, max {gaps[-1]:.2f} s")


@row("flap", "each new connection closed at once", elsewhere="feed/test_loop.py")
def flap(stage: Stage) -> None:
    before = stage.simulator.counters()["connections_total"]
    with stage.faulty():
        stage.simulator.fault("cut_after", seconds=0.05, exchange="kraken")
        stage.simulator.cut()
        stage.hold(stage.tempo.of(30.0, 2.0))
        stage.simulator.clear()
        stage.simulator.cut()
    connections = stage.simulator.counters()["connections_total"] - before
    stage.check(connections <= 150, f"{connections} connections")


@row(
    "silent",
    "silence: the socket stays open, no frame comes",
    proxied=True,
    beside="line",
    elsewhere="feed/test_loop.py",
)
def silent(stage: Stage) -> None:
    bound = stage.tempo.idle + 1.0
    with stage.faulty():
        more = stage.another_connection()
        stage.simulator.fault("silence")
        start = time.monotonic()
        noticed = stage.until(lambda: more() or not stage.connected(), bound + 5.0, "silence noticed")
        stage.check(noticed <= bound, f"noticed after {noticed:.1f} s")
        stage.hold(stage.tempo.of(8.0, 4.0))
        stage.simulator.clear()
        stage.mute(PAIRS, start, stage.tempo.idle + FOLLOWS)


@row("frozen", "half-open TCP: a proxy stops forwarding", proxied=True, beside="line")
def frozen(stage: Stage) -> None:
    assert stage.feed is not None
    bound = stage.tempo.idle + 1.0
    with stage.faulty():
        stage.feed.freeze()
        start = time.monotonic()
        noticed = stage.until(lambda: not stage.connected(), bound + 5.0, "the frozen connection noticed")
        stage.check(noticed <= bound, f"noticed after {noticed:.1f} s")
        stage.hold(stage.tempo.of(8.0, 4.0))
        stage.mute(PAIRS, start, stage.tempo.idle + FOLLOWS)
        stage.feed.freeze(False)


@row(
    "slow_line",
    "every piece 300 ms late",
    proxied=True,
    unnoticed=0.8,
    elsewhere="exchanges/test_kraken.py",
)
def slow_line(stage: Stage) -> None:
    assert stage.feed is not None
    with stage.faulty():
        stage.feed.delay(0.3)
        stage.hold(stage.tempo.of(10.0, 1.0))
        stage.feed.delay(0.0)


@row("corrupt", "every seventh byte spoilt on the line", proxied=True, beside="line")
def corrupt(stage: Stage) -> None:
    assert stage.feed is not None
    with stage.faulty():
        stage.feed.corrupt()
        stage.hold(stage.tempo.of(10.0, 1.5))
        stage.feed.corrupt(False)
        stage.feed.cut()


@row("deaf_all", "heartbeats without data", unnoticed=HABIT, walk=200.0, elsewhere="rest/test_poll.py")
def deaf_all(stage: Stage) -> None:
    with stage.faulty():
        stage.simulator.fault("heartbeats_only")
        start = time.monotonic()
        noticed = stage.until(
            lambda: all(stage.detail(pair).get("state") == "fallback" for pair in PAIRS),
            HABIT + 10.0,
            "all found deaf",
        )
        stage.check(noticed <= HABIT, f"all pairs on REST after {noticed:.1f} s")
        stage.hold(stage.tempo.of(5.0, 0.5))
        stage.mute(PAIRS, start, HABIT)
        stage.simulator.clear()
        stage.simulator.cut()


@row(
    "deaf_pair",
    "one pair deaf, the others heard",
    unnoticed=HABIT,
    walk=200.0,
    elsewhere="rest/test_poll.py",
)
def deaf_pair(stage: Stage) -> None:
    with stage.faulty():
        stage.simulator.fault("deaf_pair", pair=PAIR)
        start = time.monotonic()
        noticed = stage.until(
            lambda: stage.detail(PAIR).get("state") == "fallback", HABIT + 10.0, "found deaf"
        )
        others = _others(stage)
        stage.check(noticed <= HABIT, f"on REST after {noticed:.1f} s")
        stage.check(others == {"kraken:websocket"}, f"the others from {', '.join(map(str, others))}")
        stage.hold(stage.tempo.of(5.0, 0.5))
        stage.mute([PAIR], start, HABIT)
        stage.simulator.clear()
        stage.simulator.cut()


def _others(stage: Stage) -> set[str | None]:
    return {stage.detail(pair).get("source") for pair in PAIRS if pair != PAIR}


@row("no_ack", "one pair's subscription lost", walk=200.0, beside="subscriptions")
def no_ack(stage: Stage) -> None:
    _without(stage, "no_ack")


@row("refused", "one pair's subscription refused", walk=200.0, beside="subscriptions")
def refused(stage: Stage) -> None:
    _without(stage, "refuse_pair")


def _without(stage: Stage, fault: str) -> None:
    with stage.faulty():
        stage.simulator.fault(fault, pair=PAIR)
        stage.simulator.cut()
        moved = stage.until(
            lambda: stage.detail(PAIR).get("source") == "kraken:rest", 25.0, "the pair on REST"
        )
        stage.until(lambda: _others(stage) == {"kraken:websocket"}, 20.0, "the others on the WebSocket")
        stage.check(True, f"the pair on REST after {moved:.1f} s, the others on the WebSocket")
        stage.hold(stage.tempo.of(6.0, 1.0))
        stage.simulator.clear()
        stage.simulator.cut()


@row("huge_frame", "a frame of 64 MiB", elsewhere="feed/test_connection.py", **FRAMES)
def huge_frame(stage: Stage) -> None:
    _unbearable(stage, lambda: stage.simulator.send_text("x" * 1024, repeat=65_536))


@row("endless_frame", "a frame that claims 2^62 bytes", elsewhere="feed/test_connection.py", **FRAMES)
def endless_frame(stage: Stage) -> None:
    _unbearable(stage, lambda: stage.simulator.send_bytes(struct.pack("!BBQ", 0x81, 127, 2**62)))


@row("fragments", "a message of 1000 fragments", elsewhere="feed/test_connection.py", **FRAMES)
def fragments(stage: Stage) -> None:
    _unbearable(stage, lambda: stage.simulator.send_text("y" * 10_000, fragments=1000))


def _unbearable(stage: Stage, send: Callable[[], None]) -> None:
    """The connection is dropped and renewed, each time."""
    with stage.faulty():
        for _ in range(int(stage.tempo.of(10, 2))):
            more = stage.another_connection()
            send()
            stage.until(more, 15.0, "another connection")
            stage.until(stage.fed, 15.0, "the feed is back")


MALFORMED = (
    " ",
    "{",
    "[",
    "nonsense",
    '{"channel":"ticker"}',
    '{"channel":"ticker","type":"update","data":[{}]}',
    '{"channel":"ticker","type":"update","data":{"symbol":"BTC/USD","last":1}}',
    '{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","price":1}]}',
    '{"channel":"trade","type":"update","data":[{"symbol":7,"price":1,"trade_id":"x","timestamp":1}]}',
    '{"channel":"ticker","type":"update","data":[{"symbol":"NO/PAIR","last":1}]}',
    "[" * 5000,
    '{"a":' * 5000,
    '{"channel":1}',
    "null",
    '[993,{},"ticker","XBT/USD"]',
    '{"channel":"heartbeat","surprise":' + "[" * 2000 + "]" * 2000 + "}",
)


@row("malformed", "10,000 malformed frames", **FRAMES)
def malformed(stage: Stage) -> None:
    connections = stage.simulator.counters()["connections_total"]
    with stage.faulty():
        for text in islice(cycle(MALFORMED), int(stage.tempo.of(9_000, 600))):
            stage.simulator.send_text(text)
        for number in range(int(stage.tempo.of(1_000, 60))):
            stage.simulator.send_binary(number.to_bytes(4) * 8)
        stage.hold(stage.tempo.of(2.0, 0.3))
    renewed = stage.simulator.counters()["connections_total"] - connections
    stage.check(renewed == 0, f"{renewed} reconnections")


BAD_PRICES = (
    "0",
    "-1",
    '"NaN"',
    "NaN",
    "1e400",
    "1e-400",
    "1e99999999",
    "null",
    "true",
    '"1,5"',
    "9" * 5000,
    "Infinity",
)


@row("bad_values", "impossible prices on the wire", **FRAMES)
def bad_values(stage: Stage) -> None:
    with stage.faulty():
        for price in islice(cycle(BAD_PRICES), int(stage.tempo.of(1_000, 60))):
            now = stage.simulator.market(PAIR)[PAIR]["time"] + 0.5
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1e6):06d}Z"
            stage.simulator.send_text(_trade(price, stamp, 10**12))
            stage.simulator.send_text(
                f'{{"channel":"ticker","type":"update","data":[{{"symbol":"{PAIR}","last":{price},"timestamp":"{stamp}"}}]}}'
            )
        stage.hold(stage.tempo.of(2.0, 0.3))


def _trade(price: str, stamp: str, trade_id: int) -> str:
    return (
        f'{{"channel":"trade","type":"update","data":[{{"symbol":"{PAIR}","side":"buy","price":{price},"qty":1.0,'
        f'"ord_type":"limit","trade_id":{trade_id},"timestamp":"{stamp}"}}]}}'
    )


@row("disorder", "old and repeated trades, old snapshots after cuts", **FRAMES)
def disorder(stage: Stage) -> None:
    with stage.faulty():
        stage.simulator.fault("old_snapshot")
        for number in range(int(stage.tempo.of(300, 40))):
            for seconds, price, trade_id in stage.simulator.market(PAIR, after=0)[PAIR]["history"][-30::7]:
                stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
                stage.simulator.send_text(_trade(price, f"{stamp}.{int(seconds % 1 * 1e6):06d}Z", trade_id))
            if number % 20 == 0:
                stage.simulator.cut()
        stage.simulator.clear()
