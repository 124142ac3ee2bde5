"""Each fault of REST against its name."""

import http.client
import json
import time

import pytest

from tests.deadline import DEADLINE
from tests.simulator.client import Simulator
from tests.simulator.clients import kraken_rest, rest, result


def test_each_rest_fault_does_what_its_name_says(simulator: Simulator) -> None:
    simulator.fault("rest_status", status=302, location="http://127.0.0.1:9/")
    assert kraken_rest(simulator, "Ticker")[0] == 302
    simulator.clear()
    simulator.fault("rest_html", status=502)
    assert kraken_rest(simulator, "Ticker") == (502, kraken_rest(simulator, "Time")[1])
    simulator.clear()
    simulator.fault("rest_garbage")
    with pytest.raises(ValueError, match="decode"):
        json.loads(kraken_rest(simulator, "Ticker")[1])
    simulator.clear()
    simulator.fault("rest_error", only="Ticker")
    assert kraken_rest(simulator, "Ticker") == (200, b'{"error":["EGeneral:Too many requests"]}')
    assert kraken_rest(simulator, "Time")[1].startswith(b'{"error":[],')
    simulator.clear()
    simulator.fault("rest_huge", bytes=3_000_000)
    assert len(kraken_rest(simulator, "Ticker")[1]) == 3_000_000
    simulator.clear()
    simulator.fault("rest_refuse")
    with pytest.raises(http.client.RemoteDisconnected):
        kraken_rest(simulator, "Ticker")


def test_slow_and_dripping_answers_take_their_time(simulator: Simulator) -> None:
    simulator.fault("rest_slow", seconds=0.1)
    started = time.monotonic()
    assert kraken_rest(simulator, "Time")[0] == 200
    assert time.monotonic() - started >= 0.1
    simulator.clear()
    simulator.fault("rest_drip", interval=0.02, length=5)
    started = time.monotonic()
    assert kraken_rest(simulator, "Time") == (200, b'{"err')
    assert time.monotonic() - started >= 4 * 0.02


def test_snapshot_status_and_rest_slow_do_what_their_names_say(simulator: Simulator) -> None:
    simulator.fault("snapshot_status", status=418)
    assert rest(simulator, "/api/v3/depth?symbol=BTCUSDT")[0] == 418
    simulator.fault("snapshot_status", on=False)
    simulator.fault("rest_slow", seconds=0.1)
    started = time.monotonic()
    assert rest(simulator, "/api/v3/depth?symbol=BTCUSDT")[0] == 200
    assert time.monotonic() - started >= 0.1


def test_rest_stale_shows_an_older_price_of_one_pair(simulator: Simulator) -> None:
    simulator.trade("BTC/USD", "115000.1")
    simulator.fault("rest_stale", pair="BTC/USD", price="99.0")
    assert result(simulator, "Ticker?pair=XBTUSD")["XXBTZUSD"]["c"][0] == "99.0"
    assert result(simulator, "Trades?pair=XBTUSD")["XXBTZUSD"][-1][0] == "99.0"
    assert simulator.market("BTC/USD")["BTC/USD"]["price"] == "115000.1"


def test_a_renamed_pair_is_known_by_its_new_altname_alone(simulator: Simulator) -> None:
    simulator.fault("renamed", pair="BTC/USD", altname="BTCUSD")
    assert json.loads(kraken_rest(simulator, "Ticker?pair=XBTUSD")[1])["error"] == [
        "EQuery:Unknown asset pair"
    ]
    assert list(result(simulator, "Ticker?pair=BTCUSD")) == ["XXBTZUSD"]
    assert result(simulator, "AssetPairs")["XXBTZUSD"]["altname"] == "BTCUSD"


def test_rest_cached_answers_the_same_again_from_edges_of_different_ages(simulator: Simulator) -> None:
    def price() -> str:
        return str(result(simulator, "Ticker?pair=XBTUSD")["XXBTZUSD"]["c"][0])

    simulator.trade("BTC/USD", "118000.0")
    simulator.fault("rest_cached", seconds=0.6, edges=2)
    assert price() == "118000.0"
    simulator.trade("BTC/USD", "118001.0")
    end = time.monotonic() + DEADLINE
    while len({price(), price()}) == 1:
        assert time.monotonic() < end
    while {price(), price()} != {"118001.0"}:
        assert time.monotonic() < end
    simulator.clear()
    simulator.trade("BTC/USD", "118002.0")
    assert price() == "118002.0"
