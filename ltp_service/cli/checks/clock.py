"""This machine's clock beside the exchange's; pure, all moments in unix seconds."""

from collections.abc import Sequence

from ltp_service.cli.checks.finding import ClockReading, Finding, ok, warning

CHECK = "clock"

TOLERATED_SECONDS = 2.0
"""Seconds that the clock may be off: nothing that goes by it is more exact."""


def compare(source: str, told: float, asked_at: float, received_at: float, step: float = 0.0) -> ClockReading:
    """`told` was written by the exchange between the question and its answer, rounded down to a multiple of `step`."""
    least, most = asked_at - told - step, received_at - told
    ahead = least if least > 0 else min(most, 0.0)
    return ClockReading(source, ahead, most - least)


def judge(readings: Sequence[ClockReading]) -> list[Finding]:
    """One line, by the most exact reading."""
    if not readings:
        remedy = "mend the way to the exchange, if that is broken; on this machine `timedatectl` tells whether it is set"
        return [warning(CHECK, "no exchange told its time", remedy)]
    best = min(readings, key=lambda reading: reading.precision)
    off = abs(best.ahead)
    if off <= TOLERATED_SECONDS:
        return [ok(CHECK, f"{off:.1f} s off, by {best.source}")]
    seen = f"{off:.1f} s {'ahead of' if best.ahead > 0 else 'behind'} the exchange, by {best.source}"
    remedy = "set it (timedatectl set-ntp true): prices are judged without it, but API keys and certificates expire by it"
    return [warning(CHECK, seen, remedy)]
