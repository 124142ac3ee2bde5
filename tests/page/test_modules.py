"""The modules that need no page, run by Node: what is compared, what is believed, and what is kept."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ltp_service.page import FOLDER
from tests.ended import ended
from tests.programs import require_program

TOLD = """
const at = (ms) => new Date(1e12 + ms).toISOString();
const price = (ms, more) => ({ pair: "A/B", price: "1.50", state: "live", confirmed_at: at(ms), age_ms: 0, ...more });
const watch = new Watch();
watch.begin(1e12, 0);
watch.take("hello", { pairs: ["A/B"] }, 0);
const beat = (ms, age, now = ms) =>
  watch.take("heartbeat", { server_time: at(ms), evidence_age_ms: { "A/B": age } }, now);
const state = (now) => watch.quote("A/B", now).state;
const out = [];
"""


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy that Node takes for ES modules."""
    folder = tmp_path_factory.mktemp("page")
    for path in FOLDER.glob("*.js"):
        shutil.copy(path, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    return folder


def run(modules: Path, code: str) -> Any:
    """What the code has put into `out`."""
    imports = (
        'import { EventParser, HistoryError, PriceStream, Watch, at as askAt, candles, readExact } from "./client.js";'
        'import { compare, heights } from "./decimals.js";'
        'import { Model } from "./model.js"; import { newTrack, put, putBefore, putCandles, stretches } from "./track.js";'
        'import { span } from "./words.js"; import { verdict } from "./verdict.js";'
    )
    (modules / "test.js").write_text(f"{imports}{code}\nconsole.log(JSON.stringify(out));")
    done = ended([require_program("node"), "test.js"], cwd=modules)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_decimals_are_compared_to_the_last_digit(modules: Path) -> None:
    pairs = [
        ("0.1", "0.10", 0),
        ("9007199254740993", "9007199254740992", 1),
        ("123456789.123456789", "123456789.123456788", 1),
        ("0.0000001234", "0.0000001235", -1),
        ("10", "9.99", 1),
    ]
    code = f"const out = {json.dumps(pairs)}.map(([a, b]) => compare(a, b));"
    assert run(modules, code) == [result for *_, result in pairs]


def test_a_curve_stands_between_its_lowest_and_its_highest(modules: Path) -> None:
    code = 'const out = [heights(["9007199254740992", "9007199254740993", "9007199254740992.5"], 24), heights(["5"], 24)];'
    assert run(modules, code) == [[0, 24, 12], [12]]


def test_a_decimal_in_json_stays_the_text_that_it_is(modules: Path) -> None:
    text = (
        json.dumps({"raw": '{"price":1.0}', "age_ms": 1.5})[:-1] + ', "price": 0.10, "bids":[{"size":1e-7}]}'
    )
    assert run(modules, f"const out = readExact({json.dumps(text)});") == {
        "raw": '{"price":1.0}',
        "age_ms": 1.5,
        "price": "0.10",
        "bids": [{"size": "1e-7"}],
    }


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_are_cut_wherever_the_network_cuts_them(modules: Path, size: int) -> None:
    text = ":comment\r\nid: 7\r\nevent: price\r\ndata: a\ndata:b\n\nretry: 1500\n\nid: x\0y\nevent: b\rdata:  c\r\rdata\n\ndata: half"
    code = (
        f"const out = []; const text = {json.dumps(text)}; const parser = new EventParser((...told) => out.push(told));"
        f"for (let i = 0; i < text.length; i += {size}) parser.feed(text.slice(i, i + {size}));"
        "out.push(parser.id, parser.retry);"
    )
    assert run(modules, code) == [["price", "a\nb"], ["b", " c"], ["message", ""], "7", 1500]


def test_an_event_without_an_end_is_refused(modules: Path) -> None:
    code = (
        "const out = []; const parser = new EventParser(() => 0);"
        "try { for (;;) parser.feed('data: ' + 'x'.repeat(1000) + '\\n'); } catch (error) { out.push(error.message); }"
    )
    assert run(modules, code) == ["an event without an end"]


def test_a_price_is_believed_just_as_long_as_the_service_would(modules: Path) -> None:
    code = (
        TOLD
        + """
    watch.take("price", price(0), 0);
    out.push(state(9_000), state(10_500));  // no heartbeat for 10 s
    for (let ms = 5_000; ms <= 65_000; ms += 5_000) {
      beat(ms, 0);
      if (ms === 60_000) out.push(state(61_000));  // nothing said that it has become quiet
    }
    out.push(state(65_000));
    watch.take("price", price(66_000, { state: "quiet" }), 66_000);
    beat(70_000, 31_000); out.push(state(70_000));
    beat(75_000, 33_000); out.push(state(75_000));  // older than CACHE_TTL
    watch.end(); beat(80_000, 0); out.push(state(80_000));  // a broken line does not come back by itself
    """
    )
    wanted = ["live", "unconfirmed", "live", "unconfirmed", "quiet", "unconfirmed", "unconfirmed"]
    assert run(modules, code) == wanted


def test_after_an_outage_a_price_counts_again_once_the_new_line_tells_it(modules: Path) -> None:
    code = (
        TOLD
        + """
    watch.take("price", price(0), 0);
    watch.end();
    watch.begin(1e12 + 25_000, 25_000);
    watch.take("hello", { pairs: ["A/B"] }, 25_000);
    out.push(state(25_000), watch.quote("A/B", 25_000).trustworthy);
    watch.take("price", price(25_000), 25_000); out.push(state(25_000));
    """
    )
    assert run(modules, code) == ["unconfirmed", False, "live"]


def test_a_new_line_is_no_transition_of_each_pair(modules: Path) -> None:
    code = """
    const model = new Model(); const out = [];
    for (const now of [0, 1_000]) {
      const moment = new Date(1e12 + now).toISOString();
      model.watch.begin(1e12 + now, now);
      model.take("hello", { pairs: ["A/B"], version: "1" }, now);
      model.take("price", { pair: "A/B", price: "1", state: "live", confirmed_at: moment, age_ms: 0 }, now);
    }
    const { state, track } = model.rows.get("A/B");
    out.push(model.log.length, state, track.values);
    """
    assert run(modules, code) == [0, "live", ["1"]]


def test_a_word_that_has_waited_is_as_old_as_it_is(modules: Path) -> None:
    code = (
        TOLD
        + """
    beat(1_000, 0); watch.take("price", price(1_000), 1_000);
    beat(6_000, 0, 66_000);  // read a minute late
    out.push(watch.alive(66_000), state(66_000), watch.quote("A/B", 66_000).age_ms);
    beat(66_500, 40, 66_500); out.push(watch.alive(66_500), watch.quote("A/B", 66_500).age_ms);
    """
    )
    alive, told, age, again, new_age = run(modules, code)
    assert (alive, told, again) == (False, "unconfirmed", True)
    assert 59_000 < age <= 60_000
    assert new_age < 200


@pytest.mark.parametrize("hours", [-3, 3])
def test_a_clock_of_the_service_that_is_set_makes_no_price_older_or_younger(
    modules: Path, hours: int
) -> None:
    code = (
        TOLD
        + f"""
    watch.take("price", price(0), 0); beat(5_000, 0);
    beat(10_000 + {hours} * 3_600_000, 1_000, 10_000);
    out.push(state(10_000), watch.quote("A/B", 10_500).age_ms, watch.alive(19_000), watch.alive(21_000));
    """
    )
    assert run(modules, code) == ["live", 1_500, True, False]


@pytest.mark.parametrize(
    "more",
    [
        {"price": 1.5},
        {"price": "1e5"},
        {"price": "-1"},
        {"price": ""},
        {"price": None},
        {"pair": "C/D"},
        {"state": None},
        {"confirmed_at": "soon"},
    ],
)
def test_a_price_that_cannot_be_meant_is_refused(modules: Path, more: dict[str, Any]) -> None:
    code = (
        TOLD
        + f"try {{ watch.take('price', price(0, {json.dumps(more)}), 0); }} catch {{ out.push('refused'); }}"
    )
    assert run(modules, code) == ["refused"]


def test_what_is_kept_does_not_grow(modules: Path) -> None:
    code = """
    const model = new Model(); const out = [];
    model.watch.begin(1e12, 0);
    model.take("hello", { pairs: ["A/B"], version: "1" }, 0);
    for (let i = 0; i < 5_000; i++) {
      const now = 1000 * i;
      const state = i % 2 ? "live" : "quiet";
      const confirmed_at = new Date(1e12 + now).toISOString();
      model.take("price", { pair: "A/B", price: `${i}`, state, confirmed_at, age_ms: 0 }, now);
    }
    out.push(model.log.length, model.rows.get("A/B").track.values.length, model.log[0].until, model.log[1].until - model.log[1].at);
    """
    assert run(modules, code) == [200, 180, None, 1000]


def test_a_track_is_broken_by_a_doubt_and_by_a_gap(modules: Path) -> None:
    code = """
    const out = []; const track = newTrack(); const at = (s) => 1e12 + 1000 * s;
    for (const second of [0, 5, 10, 14, 16, 20, 25, 60, 65]) put(track, at(second), second === 16 ? null : `${second}`);
    put(track, at(17), "after a doubt");
    """
    code = code.replace(
        'put(track, at(17), "after a doubt");',
        "out.push(...stretches(track, at(65)).map((each) => each.values));",
    )
    assert run(modules, code) == [["0", "5", "14"], ["20", "25"], ["60", "65"]]


def test_trades_tell_of_the_time_before_unless_one_is_missing(modules: Path) -> None:
    code = """
    const out = []; const track = newTrack(); const at = (s) => 1e12 + 1000 * s;
    put(track, at(0), "9");
    const trade = (second, price, id) => ({ at: at(second), price, id });
    const trades = [trade(-2000, "1", "10"), trade(-890, "2", "11"), trade(-60, "3", "12"), trade(-31, "4", "14"), trade(-29, "5", "15"), trade(2, "6", "16")];
    putBefore(track, trades, at(3));
    out.push(...stretches(track, at(3)).map(({ first, values }) => [first, values.length, values[0], values.at(-1)]));
    """
    assert run(modules, code) == [[0, 168, "1", "3"], [172, 8, "4", "9"]]


@pytest.mark.parametrize(
    ("told", "drawn"),
    [
        ({"trade_id": 11, "state": "stale", "price": None, "age_ms": 12_000}, [[171, 1], [173, 5]]),
        (
            {"trade_id": 11, "state": "unknown", "price": None, "age_ms": None, "confirmed_at": None},
            [[171, 1], [173, 1]],
        ),
        ({"trade_id": 15}, [[171, 1], [173, 1], [179, 1]]),
        ({"trade_id": None, "state": "fallback"}, [[171, 1], [173, 1], [179, 1]]),
        ({"trade_id": 11}, [[171, 1], [173, 7]]),
    ],
    ids=["during it", "without evidence", "after it", "after it from REST", "after it without a trade"],
)
def test_the_past_is_not_drawn_through_an_outage_in_which_the_page_was_opened(
    modules: Path, told: dict[str, Any], drawn: list[list[int]]
) -> None:
    """Trades 40 s and 30 s before: the last one is drawn until its last evidence alone."""
    code = f"""
    const model = new Model(); const out = [];
    const now = Math.floor(1e12 / 5000) * 5000 + 2_000; const at = (ms) => new Date(ms).toISOString();
    model.watch.begin(now, 0);
    model.take("hello", {{ pairs: ["A/B"], version: "1" }}, 0);
    const told = {{ pair: "A/B", price: "3", state: "live", age_ms: 0, ...{json.dumps(told)} }};
    model.take("price", {{ confirmed_at: at(now - told.age_ms), ...told }}, 0);
    const trades = [{{ price: "1", at: now - 40_000, id: "9" }}, {{ price: "2", at: now - 30_000, id: "11" }}];
    model.told("past", {{ pair: "A/B", trades }}, 0);
    out.push(...stretches(model.rows.get("A/B").track, now).map(({{ first, values }}) => [first, values.length]));
    """
    assert run(modules, code) == drawn


def test_candles_tell_of_the_time_before_unless_trades_may_be_missing(modules: Path) -> None:
    coverages = "complete empty partial empty unknown complete empty complete partial".split()
    code = f"""
    const out = []; const track = newTrack(); const begin = 60_000 * 16_666_666; const now = begin + 8.5 * 60_000;
    put(track, now - 65_000, null); // in the last whole minute
    put(track, now, "9");
    const told = {json.dumps(coverages)}.map((coverage, place) => ({{
      start: new Date(begin + 60_000 * place).toISOString(),
      close: coverage === "empty" || coverage === "unknown" ? null : `${{place}}`,
      coverage,
    }}));
    putCandles(track, [{{ ...told[0], start: new Date(begin - 3_600_000).toISOString() }}, ...told], now);
    const minutes = (slots) => (slots - (180 - 1 - 8.5 * 12)) / 12;
    out.push(...stretches(track, now).map(({{ first, values }}) => [minutes(first), values.length, values[0], values.at(-1)]));
    """
    assert run(modules, code) == [[0, 24, "0", "0"], [5, 29, "5", "7"], [8.5, 1, "9", "9"]]


def test_spans_are_read_by_people(modules: Path) -> None:
    code = "const out = [0, 999, 59_999, 133_000, 3_900_000, 273_600_000].map(span);"
    assert run(modules, code) == ["0 s", "0 s", "59 s", "2 min 13 s", "1 h 5 min", "3 d 4 h"]


ASKED = """
const out = [];
let answer = [200, ""];
globalThis.fetch = async (url, { headers }) => {
  out.push([`${url}`, headers["X-API-Key"] ?? null]);
  return new Response(answer[1], { status: answer[0] });
};
const refusal = (asked) => asked.catch((error) => [error instanceof HistoryError, error.status, error.code, error.message, error.errors]);
"""


def test_the_past_is_asked_for_and_keeps_its_digits(modules: Path) -> None:
    code = (
        ASKED
        + """
    answer = [200, '{"time":"T","ltp":[{"pair":"A/B","amount":0.10,"price":"0.10"}]}'];
    out.push(await askAt("https://prices.example/below/", ["A/B", "C/D"], new Date(0), { key: "k" }));
    const price = "0.0000001230";
    const candle = { start: "1970-01-01T00:01:00.000000Z", open: price, high: price, low: price, close: price };
    answer = [200, JSON.stringify({ candles: [candle] })];
    out.push(await candles("https://prices.example/", "A/B", { interval: "1h", start: 60, limit: 5 }).then(([{ close }]) => close));
    """
    )
    base = "https://prices.example/"
    assert run(modules, code) == [
        [f"{base}below/api/v1/ltp/at?pair=A%2FB%2CC%2FD&time=1970-01-01T00%3A00%3A00.000Z", "k"],
        {"time": "T", "ltp": [{"pair": "A/B", "amount": "0.10", "price": "0.10"}]},
        [f"{base}api/v1/candles?pair=A%2FB&interval=1h&start=60&limit=5", None],
        "0.0000001230",
    ]


def test_what_is_not_known_of_the_past_is_an_error_with_its_reason(modules: Path) -> None:
    hole = {"pair": "A/B", "code": "HISTORY_GAP", "before": {"trade_id": 1, "price": "5"}, "after": None}
    number = '{"candles":[{"start":"1970-01-01T00:01:00Z","open":1,"high":1,"low":1,"close":1}]}'
    gap = json.dumps({"code": "HISTORY_GAP", "message": "missing", "errors": [hole]})
    code = (
        ASKED
        + f"""
    answer = [409, {json.dumps(gap)}];
    const results = [await refusal(askAt("https://a.example", "A/B", 1))];
    for (answer of [[502, "<html>"], [200, "<html>"], [200, "{{}}"], [200, {json.dumps(number)}]]) results.push(await refusal(candles("https://a.example", "A/B")));
    out.splice(0, out.length, ...results);
    """
    )
    assert run(modules, code) == [
        [True, 409, "HISTORY_GAP", "missing", [hole]],
        [True, 502, None, "the service answered 502", []],
        [True, 200, None, "the service answered 200", []],
        *[[True, 200, None, "the answer cannot be read", []]] * 2,
    ]


def test_a_substitute_is_trustworthy_named_and_no_move_of_the_price(modules: Path) -> None:
    code = """
    const model = new Model(); const out = [];
    model.watch.begin(1e12, 0);
    model.take("hello", { pairs: ["A/B"], version: "x" }, 0);
    const tell = (ms, price, state, source) => {
      const confirmed_at = new Date(1e12 + ms).toISOString();
      model.take("price", { pair: "A/B", price, state, source, confirmed_at, age_ms: 0 }, ms);
      const text = verdict(model, { kind: "live" }, ms).text.replace(/ since .*/, "");
      out.push([model.rows.get("A/B").direction, model.watch.quote("A/B", ms).trustworthy, text]);
    };
    tell(0, "1", "live", "kraken:websocket");
    tell(1000, "2", "live", "kraken:websocket");
    tell(2000, "3", "substitute", "coinbase:websocket");
    tell(3000, "2", "substitute", "coinbase:websocket");"""
    named = "1 of 1 prices trustworthy; A/B from another exchange"
    assert run(modules, code) == [
        [0, True, "1 of 1 prices trustworthy"],
        [1, True, "1 of 1 prices trustworthy"],
        [0, True, named],
        [-1, True, named],
    ]
