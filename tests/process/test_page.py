"""The page in a real browser, before a service that does what the test says."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.process.browser import Tabs, expect_live, price_of, tabs
from tests.process.scripted_service import PRICES, Refusal, ScriptedService, candles, collector, refusal


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


def test_bid_and_ask_stand_beside_the_price_where_they_are_collected(
    service: ScriptedService, opened: Tabs
) -> None:
    service.collectors["kraken_books"] = collector("kraken_books")
    page = opened.open()
    shown = page.locator('tr[data-pair="BTC/USD"] .book')
    expect_live(page)
    told = {"pair": "BTC/USD", "in_sync": True, "problem": None, "changed_at": None}
    best = {"bid": {"price": "115643.00", "size": "1"}, "ask": {"price": "115643.10", "size": "2"}}
    service.send("book", told | best)
    expect(shown).to_have_text("bid 115643.00 ask 115643.10")
    service.send("book", told | {"bid": None, "ask": None, "in_sync": False, "problem": "out_of_sync"})
    expect(shown).to_have_text("bid and ask out of sync")
    service.send("book", told | best)
    expect(shown).to_have_text("bid 115643.00 ask 115643.10")
    service.refuse(503)
    expect(shown).to_have_text("")
    streams = [path for path, _ in service.asked if path.startswith("/api/v1/stream")]
    assert all("books=true" in path for path in streams)


def test_of_a_thousand_pairs_fifty_are_drawn_and_any_is_found(service: ScriptedService, opened: Tabs) -> None:
    page = opened.open()
    rows, place = page.locator("#pairs tr"), page.locator("#find-place")
    expect(rows).to_have_count(4)
    expect(page.locator("#find")).to_be_hidden()
    for number in range(1000):
        service.price(f"C{number}/USD", "1.5")
    service.price("C800/USD", "1.5", "fallback")
    page.reload()
    expect(page.locator("#verdict")).to_have_text(
        re.compile("^1003 of 1004 prices trustworthy; C800/USD from REST")
    )
    expect(rows).to_have_count(50)
    expect(place).to_have_text("1 to 50 of 1004")
    page.get_by_role("button", name="Next").click()
    expect(place).to_have_text("51 to 100 of 1004")
    sought = page.get_by_label("Find a pair or a state")
    for words, found in (("c777-usd", "C777/USD"), ("fallback c8", "C800/USD")):
        sought.fill(words)
        expect(rows).to_have_count(1)
        expect(rows).to_have_attribute("data-pair", found)
    service.price("C800/USD", "2.5", "fallback")
    expect(rows.locator(".price")).to_have_text("2.5")
    sought.fill("stale")
    expect(place).to_have_text("None found among 1004")


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


@pytest.mark.parametrize("state", ["stale", "unknown", "halted", "quiet", "substitute"])
def test_every_state_is_shown_as_it_is_told(service: ScriptedService, opened: Tabs, state: str) -> None:
    page = opened.open()
    expect_live(page)
    gone = state in ("stale", "unknown")
    aged = {"confirmed_at": None, "age_ms": None} if gone else {}
    service.price("BTC/USD", None if gone else "1", state, deviating=state == "substitute", **aged)
    row = page.locator('tr[data-pair="BTC/USD"]')
    expect(row.locator("td.state")).to_have_text(state)
    expect(row.locator(".deviates")).to_have_text(
        ["deviates more than 5 % from the median"] if state == "substitute" else []
    )
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


def test_a_wall_shows_no_price_of_a_pair_that_is_not_served_any_more(
    service: ScriptedService, opened: Tabs
) -> None:
    page = opened.open("?kiosk=doge-usd")
    expect(page.locator("#kiosk-state")).to_have_text("live")
    del service.told["DOGE/USD"]
    service.cut()
    expect(page.locator("#kiosk-age")).to_have_text("is not served here")
    expect(page.locator("#kiosk-price")).to_have_text("—")
    expect(page.locator("#kiosk-state")).to_have_text("unknown")


# Candles.

HOUR = [
    "complete"
] * 50 + "partial partial empty unknown unknown complete empty unknown complete partial".split()
"""Sixty minutes, the last of which is not over."""


def open_chart(opened: Tabs, pair: str = "BTC/USD") -> Page:
    page = opened.open()
    expect_live(page)
    page.locator(f'tr[data-pair="{pair}"] a').click()
    return page


def test_each_coverage_looks_different_and_a_hole_is_no_line(service: ScriptedService, opened: Tabs) -> None:
    service.candles["BTC/USD"] = candles(HOUR, "115640.00", "115643.10", "115641.5")
    page = open_chart(opened)
    drawn = page.locator("#chart-picture > :not(.chosen)")
    counts = {"path.candle.complete": 52, "path.candle.partial": 3, "path.dash": 2, "rect.running": 1}
    for each, count in counts.items():
        expect(page.locator(f"#chart-picture {each}")).to_have_count(count)
    fills = [
        page.locator(f"#chart-picture path.candle.{coverage}").first.evaluate(
            "each => getComputedStyle(each).fill"
        )
        for coverage in ("complete", "partial")
    ]
    assert fills[0] != "none"
    assert fills[1] == "none"
    boxes = drawn.evaluate_all(
        "all => all.map((each) => each.getBBox()).map(({ x, width }) => [x, x + width])"
    )
    covered = {
        place for left, right in boxes for place in range(60) if left < place + 0.9 and right > place + 0.1
    }
    assert covered == {place for place, coverage in enumerate(HOUR) if coverage != "unknown"}
    expect(page.locator("#chart-legend li")).to_have_text(
        ["52 complete", "2 trades may be missing", "2 no trade", "3 unknown", "1 not over yet"]
    )
    expect(page.locator("#chart-picture")).to_have_accessible_name(
        re.compile(
            r"^BTC/USD by the minute, \d\d:\d\d to \d\d:\d\d: between 115640.00 and 115643.10, last \d+\.\d+;"
            " 52 complete, 2 trades may be missing, 2 no trade, 3 unknown, 1 not over yet$"
        )
    )


def test_the_keyboard_reads_one_candle_at_a_time_with_the_digits_that_were_told(
    service: ScriptedService, opened: Tabs
) -> None:
    closes = "99999999999999999999.000000000000000001", "0.00000012340"
    service.candles["DOGE/USD"] = candles(["complete"] * 57 + ["empty", "unknown", "partial"], *closes)
    page = open_chart(opened, "DOGE/USD")
    told, minute = page.locator("#chart-told"), page.get_by_role("slider", name="Minute")
    prices = "open {1} · high {0} · low {1} · close {0} · average {0}00 · volume 0.04200000 · 3 trades · "
    expect(told).to_have_text(re.compile(r"^\d\d:\d\d · open .* · not over yet$"))
    minute.focus()
    for key, text in (
        ("ArrowLeft", "unknown"),
        ("ArrowLeft", "no trade"),
        ("ArrowLeft", prices.format(*closes) + "complete"),
        ("Home", prices.format(*closes) + "complete"),
    ):
        page.keyboard.press(key)
        expect(told).to_have_text(re.compile(r"^\d\d:\d\d · " + re.escape(text) + "$"))
        assert minute.get_attribute("aria-valuetext") == told.text_content()


def test_the_small_picture_begins_with_what_the_history_knows(service: ScriptedService, opened: Tabs) -> None:
    coverages = ["complete"] * 8 + ["unknown"] + ["complete"] * 5 + ["partial"]
    service.candles["BTC/USD"] = candles(coverages, "115640.00", "115650.20")
    page = opened.open()
    pictures = page.locator(".spark svg")
    expect(pictures.first).to_have_accessible_name(
        "Last 15 minutes: between 115640.00 and 115650.20, with gaps"
    )
    expect(pictures.nth(1)).to_have_accessible_name("Last 15 minutes: between 4128.07 and 4128.07")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (501, "NOT_SUPPORTED"),
        (503, "HISTORY_UNAVAILABLE"),
        (404, "HISTORY_UNKNOWN"),
        (409, "HISTORY_GAP"),
        (429, "RATE_LIMITED"),
    ],
)
def test_a_history_that_is_not_told_is_told_so(
    service: ScriptedService, opened: Tabs, status: int, code: str
) -> None:
    service.history_refusal = refusal(status, code, "why it is so")
    page = open_chart(opened)
    expect(page.locator("#chart-problem")).to_have_text("There are no candles: why it is so")
    expect(page.locator("#chart-moment")).to_have_text("")
    expect(page.locator("#chart-plot")).to_be_hidden()
    expect(page.locator("#why-content")).to_contain_text("The service serves it.")


def test_candles_that_cannot_be_meant_are_not_drawn(service: ScriptedService, opened: Tabs) -> None:
    service.candles["BTC/USD"] = candles(["complete"] * 2, "1e5")
    page = open_chart(opened)
    expect(page.locator("#chart-problem")).to_have_text("There are no candles: the answer cannot be read")
    expect(page.locator("#chart-plot")).to_be_hidden()


def test_candles_are_asked_for_each_minute_and_never_old_without_their_moment(
    service: ScriptedService, opened: Tabs
) -> None:
    def asked() -> int:
        return sum("/candles" in path and "limit=60" in path for path, _ in service.asked)

    service.candles["BTC/USD"] = candles(HOUR, "1.0", "2.0")
    page = open_chart(opened)
    moment, problem = page.locator("#chart-moment"), page.locator("#chart-problem")
    expect(moment).to_have_text(re.compile(r"^As of \d\d:\d\d:\d\d$"))
    as_of = (moment.text_content() or "").removeprefix("As of ")
    before = asked()
    service.history_refusal = Refusal(503, {}, b"<html>", "text/html")
    service.clock_error += 60  # the page follows the service's clock
    expect(problem).to_have_text("There are no candles: the service answered 503")
    expect(moment).to_have_text(f"As of {as_of}")
    expect(page.locator("#chart")).to_have_attribute("data-old", "true")
    service.refuse(502)
    expect(moment).to_have_text(f"NOT LIVE, as of {as_of}")
    service.history_refusal = service.refusal = None
    expect_live(page)
    service.candles["BTC/USD"] = candles(["complete"] * 60, "3.0")
    service.clock_error += 60
    expect(page.locator("#chart-told")).to_contain_text("close 3.0")
    expect(problem).to_have_text("")
    expect(page.locator("#chart")).not_to_have_attribute("data-old", "true")
    assert asked() - before <= 4  # and a full minute may have come by itself
    page.keyboard.press("Escape")
    before = asked()
    service.clock_error += 60
    expect(page.locator("#about")).to_contain_text("CACHE_TTL")
    page.wait_for_timeout(1500)
    assert asked() == before


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
