"""The page in a real browser, before a service that does what the test says."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.deadline import IN_FULL
from tests.process.browser import Tabs, chromium, expect_dead, expect_live, tabs
from tests.process.scripted_service import PRICES, ScriptedService, collector, scripted_service

ASLEEP = 60 if IN_FULL else 16
"""Seconds: a little more than the page takes for a sleep."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def stage() -> Iterator[tuple[ScriptedService, str]]:
    with scripted_service() as running:
        yield running


@pytest.fixture
def service(stage: tuple[ScriptedService, str]) -> ScriptedService:
    return stage[0]


@pytest.fixture
def opened(browser: Browser, stage: tuple[ScriptedService, str]) -> Iterator[Tabs]:
    with tabs(browser, stage[1]) as running:
        yield running


def price_of(page: Page, pair: str) -> str:
    return page.locator(f'tr[data-pair="{pair}"] .price').text_content() or ""


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


# The line.


def _silent(service: ScriptedService) -> None:
    service.beating = False


def _garbage(service: ScriptedService) -> None:
    service.send("price", {"pair": "BTC/USD", "price": "1e5", "state": "live"})
    service.refuse(200, b"event: hello\ndata: {}\n\n", "text/event-stream")


def _endless(service: ScriptedService) -> None:
    service.refuse(200, b"data: " + b"x" * 2_000_000, "text/event-stream")


FAULTS: dict[str, Callable[[ScriptedService], None]] = {
    "no heartbeat": _silent,
    "502": lambda service: service.refuse(502, b"<html>", "text/html", Retry_After="1"),
    "503": lambda service: service.refuse(503),
    "429": lambda service: service.refuse(429, Retry_After="2"),
    "401": lambda service: service.refuse(401),
    "404": lambda service: service.refuse(404),
    "500": lambda service: service.refuse(500),
    "204": lambda service: service.refuse(204, b""),
    "a page": lambda service: service.refuse(200, b"<html>", "text/html"),
    "garbage": _garbage,
    "no end": _endless,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_it_says_that_it_is_not_live_and_comes_back_by_itself(
    service: ScriptedService, opened: Tabs, fault: str
) -> None:
    page = opened.open()
    expect_live(page)
    FAULTS[fault](service)
    expect_dead(page)
    assert {pair: price_of(page, pair) for pair in PRICES} == PRICES
    service.refusal, service.beating = None, True
    expect_live(page)
    expect(page.locator("#log")).to_contain_text("not live")


def test_it_keeps_to_what_the_service_asks_for(service: ScriptedService, opened: Tabs) -> None:
    page = opened.open()
    expect_live(page)
    service.refuse(429, Retry_After="30")
    expect_dead(page)
    expect(page.locator("#bar-detail")).to_have_text(
        re.compile("the service answered 429 · next try in (2|3)[0-9] s")
    )
    asked = len(service.asked)
    page.locator("#bar-retry").click()
    page.wait_for_timeout(100)
    assert [path for path, _ in service.asked[asked:] if "stream" in path] == [
        "/api/v1/stream?last_event_id=" + last_id(service)
    ]


def last_id(service: ScriptedService) -> str:
    return next(path.partition("=")[2] for path, _ in reversed(service.asked) if "last_event_id" in path)


def test_a_bye_is_no_alarm(service: ScriptedService, opened: Tabs) -> None:
    page = opened.open()
    expect_live(page)
    page.evaluate(
        "() => { window.seen = []; new MutationObserver(() => window.seen.push(document.documentElement.dataset.line))"
        ".observe(document.documentElement, { attributes: true }); }"
    )
    service.send("bye", {"reason": "restart"}, "retry: 500\n")
    service.cut()
    expect(page.locator("html")).to_have_attribute("data-line", "lost")
    expect_live(page)
    assert "dead" not in page.evaluate("window.seen")


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_wrong_clock_of_the_service_decides_nothing(
    service: ScriptedService, opened: Tabs, hours: int
) -> None:
    service.clock_error = 3600.0 * hours
    for pair, price in PRICES.items():
        service.price(pair, price)
    page = opened.open()
    expect_live(page)
    service.clock_error = 0.0  # it is set right
    service.price("BTC/USD", "7")
    expect(page.locator('tr[data-pair="BTC/USD"] .price')).to_have_text("7")
    expect_live(page)


def test_a_device_that_is_offline_says_so_at_once(opened: Tabs) -> None:
    page = opened.open()
    expect_live(page)
    opened.context.set_offline(True)
    expect_dead(page)
    expect(page.locator("#bar-detail")).to_contain_text("offline")
    opened.context.set_offline(False)
    expect_live(page)


@pytest.mark.parametrize("worker", [True, False])
def test_a_tab_that_was_asleep_believes_nothing_that_has_waited(
    service: ScriptedService, opened: Tabs, worker: bool
) -> None:
    if not worker:
        opened.context.add_init_script("delete window.SharedWorker")
    page = opened.open()
    expect_live(page)
    page.evaluate(
        "() => { window.seen = []; new MutationObserver(() => window.seen.push(document.documentElement.dataset.line))"
        ".observe(document.documentElement, { attributes: true }); }"
    )
    # A browser freezes hidden tabs only, and none is hidden here; a debugger stops a tab in the same way.
    door = opened.context.new_cdp_session(page)
    door.send("Debugger.enable")
    door.send("Debugger.pause")
    other = opened.open()
    expect_live(other)
    other.wait_for_timeout(1000 * ASLEEP)
    door.send("Debugger.resume")
    door.send("Debugger.disable")
    expect(page.locator("#log")).to_contain_text("asleep")
    expect_live(page)
    assert "dead" in page.evaluate("window.seen")


def test_seven_tabs_share_one_line(service: ScriptedService, opened: Tabs) -> None:
    pages = [opened.open() for _ in range(7)]
    for page in pages:
        expect_live(page)
    assert service.streams == 1
    pages[0].close()
    service.price("BTC/USD", "1")
    for page in pages[1:]:
        expect(page.locator('tr[data-pair="BTC/USD"] .price')).to_have_text("1")
    assert service.streams == 1


def test_a_worker_that_dies_is_noticed_and_replaced(
    service: ScriptedService, opened: Tabs, browser: Browser
) -> None:
    page = opened.open()
    expect_live(page)
    door = browser.new_browser_cdp_session()
    targets = door.send("Target.getTargets", {"filter": [{"type": "shared_worker"}]})["targetInfos"]
    (worker,) = [each for each in targets if each["url"].startswith(opened.url)]
    door.send("Target.closeTarget", {"targetId": worker["targetId"]})
    expect_dead(page)
    expect_live(page)


def test_a_browser_without_shared_workers_has_a_line_for_each_tab(
    service: ScriptedService, opened: Tabs
) -> None:
    opened.context.add_init_script("delete window.SharedWorker")
    for count in (1, 2):
        page = opened.open()
        expect_live(page)
        assert service.streams == count
    service.refuse(502)
    expect_dead(page)
    service.refusal = None
    expect_live(page)


def test_the_picture_is_broken_where_nothing_is_known(service: ScriptedService, opened: Tabs) -> None:
    page = opened.open()
    expect_live(page)
    line = page.locator('tr[data-pair="BTC/USD"] .spark path')
    expect(line).to_have_attribute("d", re.compile("L"))  # more than the slot that will be broken
    service.refuse(502)
    expect_dead(page)
    service.refusal = None
    expect_live(page)
    expect(line).to_have_attribute("d", re.compile("^M[^M]*M[^M]*$"))


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
    wanted = page.locator("a, button, input, [tabindex='0']").evaluate_all(
        "all => all.filter(each => each.checkVisibility()).length"
    )
    reached = set()
    for _ in range(wanted + 3):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("[...document.querySelectorAll('*')].indexOf(document.activeElement)"))
    assert (
        len(reached - {page.evaluate("[...document.querySelectorAll('*')].indexOf(document.body)")}) == wanted
    )
    why = page.locator('tr[data-pair="ETH/USD"] a')
    why.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#why")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#why")).to_be_hidden()
    expect(why).to_be_focused()


def test_a_page_whose_script_has_stopped_says_so(opened: Tabs) -> None:
    page = opened.open()
    expect_live(page)
    switch = page.locator("#deadman")
    expect(switch).to_be_hidden()
    page.evaluate(
        "() => { for (let id = setInterval(() => 0, 1e9); id > 0; id--) clearInterval(id);"
        " window.requestAnimationFrame = () => 1; }"
    )
    expect(switch).to_be_visible()


def test_a_proxy_may_serve_all_below_a_path(stage: tuple[ScriptedService, str], browser: Browser) -> None:
    service, url = stage
    service.below = "/prices"
    with tabs(browser, f"{url}prices/") as opened:
        expect_live(opened.open())
