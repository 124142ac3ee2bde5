"""What axe-core finds in the page, and pictures of it: .shots/ keeps those of the last run."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.deadline import IN_FULL
from tests.ended import PROJECT
from tests.process.browser import expect_dead, expect_live, tabs
from tests.process.npm import node_packages
from tests.process.scripted_service import (
    PRICES,
    Raw,
    ScriptedService,
    candles,
    collector,
    scripted_service,
)

PACKAGES = ("axe-core@4.11.0",)
SHOTS = PROJECT / ".shots"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return node_packages(tmp_path_factory, PACKAGES)


def findings(page: Page, packages: Path) -> list[str]:
    """What axe-core finds, in one line each."""
    page.evaluate((packages / "axe-core" / "axe.min.js").read_text())
    found: list[dict[str, Any]] = page.evaluate("async () => (await axe.run()).violations")
    return [
        f"{each['id']}: {node['html']} {node['failureSummary']}" for each in found for node in each["nodes"]
    ]


def furnish(service: ScriptedService) -> None:
    """Something of everything."""
    witnesses = [
        {"exchange": "bybit", "divergence_bps": 3.2},
        {"exchange": "binance", "divergence_bps": -1.1},
    ]
    service.collectors |= {
        "bybit_trades": collector("bybit_trades"),
        "bybit_books": collector("bybit_books", healthy=False, problem="no frame for 14 s"),
        "binance_trades": collector(
            "binance_trades", healthy=False, connected=False, last_error="refused: 451"
        ),
    }
    for pair, price in PRICES.items():
        service.past[pair] = walk(pair, price)
    for name, price in (
        ("BTC/EUR", "99871.4"),
        ("BTC/CHF", "92310.0"),
        ("LTC/USD", "88.15"),
        ("XRP/USD", "2.04511"),
    ):
        service.price(name, price)
    service.price("BTC/USD", "115643.1", witnesses=witnesses)
    hour = [
        *["complete"] * 31,
        *"partial unknown unknown unknown unknown partial".split(),
        *["complete", "empty"] * 4,
        *["complete"] * 14,
        "partial",
    ]
    closes = [str(trade["price"]) for trade in walk("BTC/USD", "115643.1")]
    service.candles["BTC/USD"] = candles(hour, *closes)


def walk(pair: str, price: str) -> list[dict[str, Any]]:
    """A hundred trades that lead to that price, newest first, with one missing among them."""
    now, chance, amount = datetime.now(UTC), Random(pair), Decimal(price)
    step = max(amount.scaleb(-4).quantize(amount), Decimal(1).scaleb(int(amount.as_tuple().exponent)))
    trades = []
    for number in range(100):
        moment = (now - timedelta(seconds=3 + 8.5 * number)).isoformat()
        trade = {"exchange": "kraken", "symbol": pair, "price": Raw(f"{amount:f}"), "timestamp": moment}
        trades.append({**trade, "trade_id": str(5000 - number - (number > 60))})
        amount += step * chance.randint(-4, 4)
    return trades


def unsettle(service: ScriptedService) -> None:
    """A state of each kind."""
    service.price("ETH/USD", PRICES["ETH/USD"], "quiet")
    service.price("BTC/CHF", "92310.0", "fallback")
    service.price("LTC/USD", "88.15", "halted")
    service.price("XRP/USD", None, "stale", confirmed_at=None, age_ms=None)
    service.price("DOGE/USD", "0.0000001235")
    service.price("BTC/EUR", "99871.4", "substitute", source="coinbase:websocket", deviating=True)


LOOKS = [("dark", 320), ("light", 1600), ("light", 320), ("dark", 1600)]


@pytest.mark.parametrize(("theme", "width"), LOOKS if IN_FULL else LOOKS[:2])
def test_axe_finds_nothing(browser: Browser, packages: Path, theme: Any, width: int) -> None:
    SHOTS.mkdir(exist_ok=True)
    size = {"width": width, "height": 1000}
    with (
        scripted_service() as (service, url),
        tabs(browser, url, viewport=size, color_scheme=theme) as opened,
    ):
        furnish(service)
        page = opened.open()
        expect_live(page)
        unsettle(service)
        expect(page.locator("#log tr")).to_have_count(5)
        expect(page.locator("#feeds tr")).to_have_count(5)
        found = {}

        def look(name: str) -> None:
            page.wait_for_timeout(1000)  # a colour that fades has no contrast of its own
            page.screenshot(path=SHOTS / f"{name}-{theme}-{width}.png", full_page=True)
            found[name] = findings(page, packages)

        look("live")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.locator('tr[data-pair="BTC/USD"] a').click()
        expect(page.locator("#why-content")).to_contain_text("serves it")
        expect(page.locator("#chart-picture path.candle")).to_have_count(52)
        page.get_by_role("slider", name="Minute").focus()
        page.keyboard.press("PageDown")
        look("why")
        assert page.evaluate("document.querySelector('#why').scrollWidth") <= width
        page.keyboard.press("Escape")
        service.refuse(502, Retry_After="60")
        expect_dead(page)
        look("dead")
        service.key = "ltp_key"
        page.locator("#bar-retry").click()
        expect(page.locator("#key")).to_be_visible()
        look("key")
        service.key = service.refusal = None
        page.goto(f"{url}?kiosk=BTC/USD")
        expect(page.locator("#kiosk-state")).to_have_text("live")
        look("kiosk")
        opened.complaints = [each for each in opened.complaints if "axe" not in each]
    assert [f"{name}: {each}" for name in found for each in found[name]] == []


def test_what_axe_finds_would_be_seen(browser: Browser, packages: Path) -> None:
    with scripted_service() as (_, url), tabs(browser, url) as opened:
        page = opened.open()
        page.evaluate("document.querySelector('#copy').textContent = ''")
        assert any(each.startswith("button-name") for each in findings(page, packages))
