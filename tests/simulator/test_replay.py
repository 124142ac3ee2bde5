"""A recorded session, played again."""

import json

import pytest

from tests.simulator.client import Simulator
from tests.simulator.clients import RECORDED, joined, needs_recordings


@needs_recordings
@pytest.mark.parametrize("channel", ["ticker", "trade"])
def test_a_replay_plays_the_recorded_texts_and_the_market_follows(channel: str) -> None:
    path = RECORDED / f"kraken/v1_{channel}_10pairs_2021-04-17.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    frames = [record["raw"] for record in records if record["dir"] == "in"]
    request = next(record["raw"] for record in records if record["dir"] == "out")
    with Simulator.start("--replay", str(path), "--speed", "100") as simulator:
        with joined(simulator.v1_url) as client:
            client.socket.send(request)
            assert [client.text() for _ in frames] == frames
        market = simulator.market()
    last = {frame[-1]: frame[1] for frame in map(json.loads, frames) if isinstance(frame, list)}
    for wsname, payload in last.items():
        price = payload["c"][0] if channel == "ticker" else payload[-1][0]
        assert market[wsname.replace("XBT", "BTC")]["price"] == price
