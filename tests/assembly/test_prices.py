"""ltp_service.assembly.prices: what the parts of a fleet know of the collectors."""

from decimal import Decimal
from pathlib import Path

from ltp_service.domain.trade import Trade
from ltp_service.redis.owner import GAP_MARGIN_SECONDS
from tests.fakes import NOON
from tests.service import FreshService


def test_a_gap_in_what_a_fleet_told_is_in_the_time_of_the_exchange(tmp_path: Path) -> None:
    service = FreshService(tmp_path, cache_backend="redis", redis_addr="127.0.0.1:1")
    fleet, now = service.services.prices.fleet, service.clock.monotonic()
    assert fleet is not None
    at = NOON - 3600
    trade = Trade("bybit", "BTCUSDT", "buy", Decimal(1), Decimal(1), at, "1", service.clock.wall(), "")
    service.services.trades.trades.put(trade)
    fleet.owner.heard(1, now)
    fleet.owner.heard(2, now)

    (gap,) = fleet.gaps("bybit_trades", ())
    assert (gap.since, gap.until) == (at - GAP_MARGIN_SECONDS, at + GAP_MARGIN_SECONDS)


def test_a_fleet_judges_its_owner_by_krakens_feed(tmp_path: Path) -> None:
    service = FreshService(tmp_path, cache_backend="redis", redis_addr="127.0.0.1:1")
    parts, now = service.services.prices, service.clock.monotonic()
    assert parts.fleet is not None
    assert parts.kraken is not None
    parts.kraken._last_frame_at = now  # noqa: SLF001 - no connection is made here
    assert parts.fleet.lease._heard_at() == now  # noqa: SLF001 - as the lease asks
