"""Both protocols of Kraken: what means nothing, and what cannot be read."""

import json
from types import ModuleType

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltp_service.domain.errors import BadFrame
from ltp_service.exchanges import kraken_v1 as v1
from ltp_service.exchanges import kraken_v2 as v2
from ltp_service.feed.messages import LastTrade
from tests.exchanges.kraken_frames import ticker


@pytest.mark.parametrize(
    ("dialect", "frame", "kind"),
    [
        (v1, '{"event":"heartbeat"}', "heartbeat"),
        (v1, '{"event":"pong","reqid":42}', "pong"),
        (v1, '{"event":"somethingNew"}', "unknown"),
        (v1, "{}", "unknown"),
        (v1, '[6304,{"as":[],"bs":[]},"book-25","PERP/EUR"]', "book"),
        (v1, '[320,{"a":[]},{"b":[],"c":"1"},"book-25","XBT/USD"]', "book"),
        (v1, '[341,["1"],"spread","XBT/USD"]', "spread"),
        (v1, '[343,["1"],"ohlc-1","XBT/USD"]', "ohlc"),
        (v2, '{"channel":"heartbeat"}', "heartbeat"),
        (v2, '{"method":"pong","req_id":7}', "pong"),
        (v2, '{"channel":"book","type":"update","data":[{}]}', "book"),
        (v2, '{"channel":"level3","type":"update","data":[{}]}', "level3"),
        (v2, '{"channel":"brand_new"}', "unknown"),
        (v2, '{"channel":"brand_new","type":"update","note":"no pair"}', "unknown"),
        (v2, '{"channel":"status"}', "status"),
        (v2, '{"channel":"trade","type":"snapshot","data":[]}', "trade"),
        (v2, '{"channel":"ticker","type":"snapshot","data":[ ]}', "ticker"),
        (v2, "{}", "unknown"),
    ],
)
def test_other_frames_are_known_by_their_kind_and_mean_nothing(
    dialect: ModuleType, frame: str, kind: str
) -> None:
    parsed = dialect.parse(frame)

    assert (parsed.kind, list(parsed.events)) == (kind, [])


UNUSABLE = (BadFrame, ValueError, RecursionError, msgspec.MsgspecError)


@pytest.mark.parametrize(
    ("dialect", "frame"),
    [
        (v1, ""),
        (v1, "x"),
        (v1, "null"),
        (v1, "17"),
        (v1, '{"event":17}'),
        (v1, '{"event":"heartbeat"'),
        (v1, '[340,{"c":"29938"},"ticker","XBT/USD"]'),
        (v1, '[340,{"c":[29938.6,"1"]},"ticker","XBT/USD"]'),
        (v1, '[340,{"c":[NaN,"1"]},"ticker","XBT/USD"]'),
        (v1, '[340,[],"ticker","XBT/USD"]'),
        (v1, '[340,{"c":["1","1"]},"ticker",17]'),
        (v1, '[340,{},{},17,"XBT/USD"]'),
        (v1, '[344,["1"],"free text from outside","XBT/USD"]'),
        (v1, "[" * 20_000),
        (v1, "[" * 20_000 + "]" * 20_000),
        (v1, '{"event":' * 20_000),
        (v1, '[1,{"c":' + "[" * 20_000 + "]" * 20_000 + '},"ticker","XBT/USD"]'),
        (v2, ""),
        (v2, "x"),
        (v2, "[]"),
        (v2, "17"),
        (v2, '{"channel":17}'),
        (v2, '{"channel":"free text from outside","data":[{}]}'),
        (v2, '{"channel":"heartbeat"'),
        (v2, ticker("NaN")),
        (v2, ticker("Infinity")),
        (v2, ticker("01")),
        (v2, '{"channel":"ticker","data":{}}'),
        (v2, '{"channel":"trade","type":"update"}'),
        (v2, '{"channel":"trade","type":"update","data":[]}'),
        (v2, '{"channel":"trade","data":{"symbol":"BTC/USD"}}'),
        (v2, '{"channel":"status","data":[1]}'),
        (v2, '{"channel":"ticker","data":' + "[" * 20_000 + "]" * 20_000 + "}"),
        (v2, ticker("[" * 20_000 + "]" * 20_000)),
        (v2, "[" * 20_000),
        (v2, '{"a":' * 20_000 + "1" + "}" * 20_000),
    ],
)
def test_what_is_no_frame_raises_what_the_loop_expects(dialect: ModuleType, frame: str) -> None:
    with pytest.raises(UNUSABLE):
        dialect.parse(frame)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)
channels = st.sampled_from(["ticker", "trade", "status", "book-10"])
rows = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("symbol", "last", "price", "trade_id", "timestamp", "system"), json_values)
)
frames = (
    st.text(max_size=60)
    | json_values.map(json.dumps)
    | st.builds(lambda payload, channel: json.dumps([1, payload, channel, "XBT/USD"]), json_values, channels)
    | st.builds(
        lambda channel, data: json.dumps({"channel": channel, "data": data}),
        channels,
        st.lists(rows, max_size=3) | json_values,
    )
)


@pytest.mark.parametrize("dialect", [v1, v2])
@given(frame=frames)
def test_any_frame_is_understood_or_refused_as_the_loop_expects(dialect: ModuleType, frame: str) -> None:
    try:
        parsed = dialect.parse(frame)
    except UNUSABLE:
        return
    for event in parsed.events:
        if isinstance(event, LastTrade):
            assert event.amount > 0
