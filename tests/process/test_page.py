"""The page in a real browser, before a service that does what the test says."""

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.process.browser import Tabs, expect_live, price_of, tabs
from tests.process.scripted_service import PRICES, ScriptedService, collector


@pytest.fixture
def service(scripted: tuple[ScriptedService, str]) -> ScriptedService:
    return scripted[0]


# What it shows.


def test_every_digit_is_the_one_that_was_told(service: ScriptedService, opened: Tabs) -> None:
    page = opened.open()
    expect_live(page)
    assert {pair: price_of(page, pair) for pair in PRICES} == PRICES
    for price in ("0.00000012340", "99999999999999999999.000000000000000001", "5"):
        service.price("DOGE/USD", price)
        expect(page.locator('tr[data-pair="DOGE/USD"] .price')).to_have_text(price)


def test_the_arrow_knows_what_no_binary_float_does(service: ScriptedService, opened: Tabs) -> None:
    page = opened.open()
    arrow = page.locator('tr[data-pair="BTC/KRW"] .arrow')
    expect_live(page)
    for price, move in (
        ("123456789.1234567891", "up"),
        ("123456789.1234567890", "down"),
        ("1000000000", "up"),
    ):
        service.price("BTC/KRW", price)
        expect(arrow).to_have_text(move)


def test_the_sentence_names_what_is_wrong_in_title_and_icon_too(
    service: ScriptedService, opened: Tabs
) -> None:
    page = opened.open()
    icon = page.locator("#favicon")
    expect(page.locator("#verdict")).to_have_text("4 of 4 prices trustworthy")
    good = icon.get_attribute("href")
    service.price("ETH/USD", PRICES["ETH/USD"], "fallback")
    expect(page.locator("#verdict")).to_have_text(
        re.compile(r"^3 of 4 prices trustworthy; ETH/USD from REST since \d\d:\d\d$")
    )
    expect(page).to_have_title(re.compile("^3 of 4 prices trustworthy"))
    expect(icon).not_to_have_attribute("href", good or "")
    expect(page.locator("#log tr").first).to_contain_text("ETH/USD")
    expect(page.locator("#log tr").first).to_contain_text("so far")
    service.price("ETH/USD", PRICES["ETH/USD"], "live")
    expect(page.locator("#verdict")).to_have_text("4 of 4 prices trustworthy")
    assert page.locator("[aria-live]").evaluate_all("all => all.map(each => each.id)") == ["verdict"]


def test_transitions_of_one_moment_are_told_one_by_one(service: ScriptedService, opened: Tabs) -> None:
    page = opened.open()
    expect_live(page)
    flips = [{**service.told["BTC/USD"], "state": state} for state in ("quiet", "live") * 10]
    service.send("price", *flips)
    rows = page.locator("#log tr")
    expect(rows).to_have_count(20)
    expect(rows.first).to_contain_text("2 s so far")  # after two more pictures
    expect(rows).to_have_count(20)


@pytest.mark.parametrize("state", ["stale", "unknown", "halted", "quiet", "fallback"])
def test_every_state_is_shown_as_it_is_told(service: ScriptedService, opened: Tabs, state: str) -> None:
    page = opened.open()
    expect_live(page)
    gone = state in ("stale", "unknown")
    aged = {"confirmed_at": None, "age_ms": None} if gone else {}
    service.price("BTC/USD", None if gone else "1", state, **aged)
    expect(page.locator('tr[data-pair="BTC/USD"] td.state')).to_have_text(state)
    expect(page.locator('tr[data-pair="ETH/USD"] td.state')).to_have_text("live")


def test_evidence_that_is_too_old_greys_a_price_without_an_event(
    service: ScriptedService, opened: Tabs
) -> None:
    page = opened.open()
    expect_live(page)
    service.evidence["BTC/USD"] = 40_000
    expect(page.locator('tr[data-pair="BTC/USD"] td.state')).to_have_text("unconfirmed")
    expect(page.locator('tr[data-pair="ETH/USD"] td.state')).to_have_text("live")
    expect(page.locator("#verdict")).to_contain_text("3 of 4 prices trustworthy; BTC/USD not confirmed since")


def test_the_rest_of_the_page_is_filled(service: ScriptedService, opened: Tabs) -> None:
    service.collectors |= {
        name: collector(name, healthy=False, problem="deaf") for name in ("bybit_trades", "bybit_books")
    }
    page = opened.open()
    expect(page.locator("#feeds tr")).to_have_count(4)
    expect(page.locator("#feeds")).to_contain_text("deaf")
    expect(page.locator("#feeds")).to_contain_text("breaker closed")
    expect(page.locator("#markets td:nth-child(5)")).to_have_text("0.00000012")
    expect(page.locator("#markets td:nth-child(6)")).to_have_text("115650.30")
    expect(page.locator("#about")).to_contain_text("CACHE_TTL")
    expect(page.locator("#curl")).to_have_text(f"curl '{opened.url}api/v1/ltp?pair=BTC/USD&detail=true'")
    page.locator('tr[data-pair="BTC/USD"] a').click()
    expect(page.locator("#why-content")).to_contain_text("The service serves it.")
    expect(page.locator("#why-content")).to_contain_text("115643.10")


def test_a_wall_shows_one_number(service: ScriptedService, opened: Tabs) -> None:
    page = opened.open("?kiosk=doge-usd&theme=dark")
    expect(page.locator("#kiosk-price")).to_have_text("0.0000001234")
    expect(page.locator("#kiosk-state")).to_have_text("live")
    expect(page.locator("#pairs")).to_be_hidden()
    assert page.locator("html").get_attribute("data-theme") == "dark"
    service.refuse(502)
    expect(page.locator("#bar-word")).to_have_text(re.compile("^NOT LIVE"))
    expect(page.locator("#kiosk-state")).to_have_text("unconfirmed")


# Keys.


def test_a_key_is_asked_for_and_kept_for_this_tab_only(service: ScriptedService, opened: Tabs) -> None:
    service.key = "ltp_secret"
    page = opened.open()
    expect(page.locator("#key")).to_be_visible()
    page.get_by_label("API key").fill("ltp_wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#key-problem")).to_have_text("The key of this tab is not accepted.")
    page.get_by_label("API key").fill("ltp_secret")
    page.keyboard.press("Enter")
    expect_live(page)
    expect(page.locator("#key")).to_be_hidden()
    other = opened.open()
    expect(other.locator("#key")).to_be_visible()
    expect(other.locator("#pairs tr")).to_have_count(0)
    page.reload()
    expect_live(page)
    assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
    assert not [path for path, _ in service.asked if "secret" in path]


# People.


def test_the_keyboard_alone_reaches_everything(service: ScriptedService, opened: Tabs) -> None:
    page = opened.open()
    expect_live(page)
    everything = page.locator("a, button, input, [tabindex='0']")
    for _ in range(everything.count() + 3):
        page.keyboard.press("Tab")
        page.evaluate("document.activeElement.setAttribute('data-reached', '')")

    assert (
        everything.evaluate_all(
            "all => all.filter(each => each.checkVisibility() && !each.hasAttribute('data-reached')).map(each => each.outerHTML)"
        )
        == []
    )
    why = page.locator('tr[data-pair="ETH/USD"] a')
    why.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#why")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#why")).to_be_hidden()
    expect(why).to_be_focused()


def test_a_proxy_may_serve_all_below_a_path(scripted: tuple[ScriptedService, str], browser: Browser) -> None:
    service, url = scripted
    service.below = "/prices"
    with tabs(browser, f"{url}prices/") as opened:
        expect_live(opened.open())
