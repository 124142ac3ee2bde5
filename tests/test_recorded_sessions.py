"""What the exchange really sent: every recorded frame is understood, and every digit arrives."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import pytest

from ltp_service.domain.decimals import plain
from ltp_service.domain.pairs import Pair, read_pair
from ltp_service.exchanges import kraken_v1 as v1
from ltp_service.exchanges import kraken_v2 as v2
from ltp_service.exchanges.kraken_tickers import OTHER_CHANNEL_WITHIN_SECONDS
from tests.exchanges.kraken_frames import Fed, Step
from tests.service import FreshService, amounts

Find = Callable[[str], Path]

V1_TICKER = "kraken/v1_ticker_10pairs_2021-04-17.jsonl"
V1_TRADE = "kraken/v1_trade_10pairs_2021-04-17.jsonl"
V2_TICKER = "kraken/v2_ticker_session_ccxt_2026-08-12.jsonl"
V2_VERBATIM = "kraken/v2_ticker_trade_status_verbatim_2025-2026.jsonl"
SESSIONS = {V1_TICKER: "/", V1_TRADE: "/", V2_TICKER: "/v2", V2_VERBATIM: "/v2"}

TEN_PAIRS = tuple(
    map(
        read_pair,
        "WAVES/EUR XMR/USD KSM/XBT GRT/ETH SC/EUR ETH/CHF OCEAN/XBT OMG/USD XBT/CHF ADA/XBT".split(),
    )
)
V2_PAIRS = tuple(map(read_pair, ("BTC/USD", "ALGO/USD", "USDT/USD")))

KINDS = {
    V1_TICKER: (v1, {"status": 1, "acknowledgement": 10, "ticker": 18, "heartbeat": 31}),
    V1_TRADE: (v1, {"status": 1, "acknowledgement": 10, "trade": 8, "heartbeat": 30}),
    "kraken/v1_book10_xbtusd_2023-08-30.jsonl": (
        v1,
        {"status": 1, "pong": 16, "acknowledgement": 1, "book": 980, "heartbeat": 152},
    ),
    V2_TICKER: (v2, {"status": 1, "acknowledgement": 1, "ticker": 2, "heartbeat": 1}),
    V2_VERBATIM: (v2, {"status": 2, "acknowledgement": 3, "ticker": 3, "trade": 1, "heartbeat": 1}),
    "kraken/v2_errors_and_acks_verbatim_2026.jsonl": (
        v2,
        {"refusal": 2, "pong": 1, "end": 1, "acknowledgement": 1},
    ),
    "kraken/crypto_msg_parser_single_frames.jsonl": (
        v1,
        {"trade": 1, "spread": 1, "ohlc": 1, "ticker": 1, "book": 4, "unknown": 13},
    ),
}


def frames(file: Path) -> list[str]:
    """What the client received."""
    records = map(json.loads, file.read_text().splitlines())
    return [record["raw"] for record in records if record["dir"] == "in"]


def with_pauses(file: Path) -> Iterator[str | float | None]:
    """What the client received, each frame at its time; where the session has no times, with time to wait for trades."""
    before: float | None = None
    for record in map(json.loads, file.read_text().splitlines()):
        if record["dir"] == "in":
            if before is not None:
                yield record["t"] - before
            before = record.get("t")
            yield record["raw"]
            if before is None:
                yield from (OTHER_CHANNEL_WITHIN_SECONDS, None)


def told(frame: str) -> Iterator[tuple[Pair, str]]:
    """The last trades in a frame, read as plainly as possible: pair and price text."""
    message = json.loads(frame, parse_float=str, parse_int=str)
    if isinstance(message, list) and message[-2] == "ticker":
        yield read_pair(message[-1]), message[1]["c"][0]
    elif isinstance(message, list) and message[-2] == "trade":
        yield read_pair(message[-1]), message[1][-1][0]
    elif isinstance(message, dict) and message.get("channel") in ("ticker", "trade"):
        for row in message["data"]:
            yield read_pair(row["symbol"]), row.get("last") or row["price"]


def last_prices(file: Path) -> dict[Pair, str]:
    return {pair: price for frame in frames(file) for pair, price in told(frame)}


def pairs_of(name: str) -> tuple[Pair, ...]:
    return TEN_PAIRS if SESSIONS[name] == "/" else V2_PAIRS


@pytest.mark.parametrize(
    ("name", "dialect", "kinds"), [(name, *expected) for name, expected in KINDS.items()]
)
def test_each_recorded_frame_has_a_kind(
    recorded: Find, name: str, dialect: ModuleType, kinds: dict[str, int]
) -> None:
    assert Counter(dialect.parse(frame).kind for frame in frames(recorded(name))) == kinds


def test_every_recorded_kraken_session_is_read_here(recorded: Find) -> None:
    folder = recorded(V1_TICKER).parent

    assert {f"kraken/{file.name}" for file in folder.glob("v[12]_*.jsonl")} <= set(KINDS)


def test_the_recorded_sessions_have_the_pairs_that_they_are_said_to_have(recorded: Find) -> None:
    assert set(last_prices(recorded(V1_TICKER))) == set(TEN_PAIRS)
    assert set(map(str, last_prices(recorded(V1_TRADE)))) == {"XMR/USD", "SC/EUR"}


@pytest.mark.parametrize("name", SESSIONS)
def test_after_each_recorded_frame_every_pair_shows_its_own_last_trade(recorded: Find, name: str) -> None:
    expected: dict[Pair, str] = {}
    wrong: list[tuple[str, Pair]] = []
    steps: list[Step] = []

    def check(after: str) -> Callable[[Fed], None]:
        def look(fed: Fed) -> None:
            expected.update(told(after))
            shown = {pair: price.tick.price for pair, price in fed.store.all().items()}
            wrong.extend((after, pair) for pair in pairs_of(name) if shown.get(pair) != expected.get(pair))

        return look

    after = ""
    for step in with_pauses(recorded(name)):
        if isinstance(step, str):
            if after:
                steps.append(check(after))
            after = step
        steps.append(step)
    steps.append(check(after))
    fed = Fed(f"ws://127.0.0.1:9{SESSIONS[name]}", steps, pairs=pairs_of(name))

    if name == V2_VERBATIM:  # it joins days that lie in no order
        assert set(fed.refused) <= {"older", "future"}
    else:
        assert (wrong, set(fed.refused) - {"older"}) == ([], set())


@pytest.mark.parametrize("name", [V1_TICKER, V1_TRADE, V2_TICKER])
def test_a_replayed_session_is_served_over_http(recorded: Find, tmp_path: Path, name: str) -> None:
    service = FreshService(tmp_path, supported_pairs=pairs_of(name))
    url = f"ws://127.0.0.1:9{SESSIONS[name]}"
    fed = Fed(url, with_pauses(recorded(name)), pairs=pairs_of(name), store=service.store)
    expected = {str(pair): plain(Decimal(price)) for pair, price in last_prices(recorded(name)).items()}

    assert amounts(service.get("/api/v1/ltp")) == expected
    for pair, price in last_prices(recorded(name)).items():
        assert plain(Decimal(price)) in (price, price.rstrip("0").rstrip("."))
        assert service.store.all()[pair].tick.price == price
        assert amounts(service.get(f"/api/v1/ltp?pair={pair}")) == {str(pair): expected[str(pair)]}
    assert fed.refused == {}
