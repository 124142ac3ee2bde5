"""What names, certificates and clocks do wrong."""

import ssl
import time

from tests.drill.row import Stage, row
from tests.swallowing import swallowing

STAGGER, STATE = 0.25, 1.0
"""Seconds that an address has before the next one is tried beside it, and for the handshake and the first prices."""

BAD_CERTIFICATES = ("expired", "wrong host", "self-signed")


@row(
    "dns_failure",
    "the exchange's name is not found",
    names=True,
    beside="names",
    elsewhere="feed/test_dialing.py",
)
def dns_failure(stage: Stage) -> None:
    _nameless(stage, "fail")


@row(
    "dns_slow",
    "the name server answers after 10 s, with a failure",
    names=True,
    beside="names",
    elsewhere="feed/test_dialing.py",
)
def dns_slow(stage: Stage) -> None:
    _nameless(stage, "10")


def _nameless(stage: Stage, order: str) -> None:
    """Without names neither source can be reached; the prices outlive it."""
    assert stage.resolver is not None
    with stage.faulty():
        stage.resolver.write_text(order)
        stage.simulator.cut()
        stage.hold(min(stage.tempo.of(10.0, 2.0), stage.tempo.ttl / 2))
        stage.resolver.write_text("")
    if (error := _rest_error(stage)) != "None":
        stage.remarks.append(f"REST: {error}"[:90])


@row(
    "tls",
    "bad certificates before the WebSocket: expired, wrong host, self-signed",
    tls="feed",
    elsewhere="feed/test_dialing.py",
)
def tls(stage: Stage) -> None:
    assert stage.feed is not None
    assert stage.authority is not None
    bad: tuple[ssl.SSLContext, ...] = (
        stage.authority.issue(expired=True),
        stage.authority.issue("elsewhere.example"),
        stage.authority.self_signed(),
    )
    good = stage.authority.issue()
    passed = stage.feed.passed
    with stage.faulty():
        for name, context in zip(BAD_CERTIFICATES, bad, strict=True):
            stage.feed.show(context)
            stage.feed.cut()
            tried = stage.feed.accepted
            stage.until(lambda tried=tried: stage.feed.accepted > tried, 20.0, f"an attempt: {name}")  # type: ignore[misc]
            stage.hold(stage.tempo.of(4.0, 0.3))
        error = str(stage.status()["connection"]["last_error"])
        accepted = stage.feed.passed - passed
        stage.feed.show(good)
    stage.check("certificate" in error.lower(), f"said: {_cause(error)}")
    stage.check(accepted == 0, f"{accepted} connections with a bad certificate")


@row(
    "rest_tls",
    "a certificate of an unknown authority before REST, the WebSocket gone for a while",
    tls="rest",
    elsewhere="rest/test_http_client.py",
)
def rest_tls(stage: Stage) -> None:
    assert stage.rest is not None
    with stage.faulty():
        stage.simulator.fault("refuse")
        stage.simulator.cut()
        stage.until(lambda: _rest_error(stage) != "None", 5.0, "REST is tried")
        error, accepted = _rest_error(stage), stage.rest.passed
        stage.simulator.clear()
    stage.check("certificate" in error.lower(), f"said: {_cause(error)}")
    stage.check(accepted == 0, f"{accepted} connections with a bad certificate")


def _cause(error: str) -> str:
    """What OpenSSL says, without the codes around it."""
    return error.rpartition("] ")[2].partition(" (_ssl")[0]


def _rest_error(stage: Stage) -> str:
    return str(stage.status()["connection"]["rest_last_error"])


@row("clock", "the wall clock steps by one hour, forward, back and back again", clock=True)
def clock(stage: Stage) -> None:
    assert stage.clock is not None
    with stage.faulty():
        for step in ("+3600", "+0", "-3600", "+0"):
            stage.clock.write_text(step)
            stage.hold(stage.tempo.of(4.0, 0.5))
            _check_clocks(stage, int(step))
        stage.simulator.cut()
        stage.clock.write_text("+3600")
        stage.hold(stage.tempo.of(4.0, 0.5))
        stage.clock.write_text("+0")


def _check_clocks(stage: Stage, step: int) -> None:
    """The wall clock did step, what ages are measured by did not, and every price is as fresh as before."""
    status = stage.status()
    moved = int(status["timestamp"]) - time.time()
    stage.check(abs(moved - step) < 5, f"{moved:+.0f} s: {status['status']}")
    if not stage.fed() or not 0 < float(status["uptime_s"]) < 600:
        stage.problems.append(f"{step:+d} s: status {status['status']}, uptime {status['uptime_s']} s")


@row("swallowed", "an address that swallows SYNs beside the good one (AAAA and A)", names=True, long=True)
def swallowed(stage: Stage) -> None:
    """The addresses are raced: the dead one costs each connection a moment."""
    assert stage.resolver is not None
    bound = stage.tempo.reconnect + STAGGER + STATE
    with stage.faulty(), swallowing(stage.simulator.port):
        stage.resolver.write_text("both")
        took = []
        for _ in range(int(stage.tempo.of(10, 2))):
            more = stage.another_connection()
            stage.simulator.cut()
            stage.until(more, bound + 10.0, "another connection")
            took.append(stage.until(stage.fed, bound + 10.0, "the feed is back"))
            stage.hold(0.3)
        stage.resolver.write_text("")
    stage.check(max(took) <= bound, f"the feed is back {max(took):.1f} s after the cut at most")
