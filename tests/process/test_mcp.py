"""The service as agents ask it: by the official client of the Model Context Protocol."""

import asyncio
from typing import Any

import pytest
from mcp import Client

from tests.fakes import eventually
from tests.process.service import Service
from tests.simulator.client import Simulator

QUESTIONS = [
    ("get_price", {"pair": "xbt-usd"}),
    ("explain_price", {"pair": "BTC/USD"}),
    ("list_pairs", {}),
    ("get_price", {"pair": "DOGE/USD"}),
    ("price_at", {"pair": "BTC/USD", "time": "0"}),
]


async def ask(url: str, mode: str) -> tuple[str, list[str], list[Any]]:
    """The revision agreed on, the tools, and the results. The client holds each against its tool's schema."""
    async with Client(url, mode=mode) as client:
        listed = await client.list_tools()
        results = [await client.call_tool(name, arguments) for name, arguments in QUESTIONS]
        return client.protocol_version, [tool.name for tool in listed.tools], results


@pytest.mark.parametrize(
    ("mode", "revision"), [("auto", "2026-07-28"), ("2026-07-28", "2026-07-28"), ("legacy", "2025-11-25")]
)
def test_the_official_client_gets_prices_in_both_revisions(
    service: Service, simulator: Simulator, mode: str, revision: str
) -> None:
    simulator.trade("BTC/USD", "115643.10")
    eventually(lambda: b"115643.1}" in service.get("/api/v1/ltp?pair=BTC/USD").body)
    agreed, tools, results = asyncio.run(ask(f"http://127.0.0.1:{service.port}/mcp", mode))
    price, explanation, pairs, not_served, past = results

    assert agreed == revision
    assert tools == ["get_price", "explain_price", "price_at", "list_pairs"]
    assert price.structured_content["price"] == explanation.structured_content["price"] == "115643.10"
    assert {"pair": "BTC/USD", "kraken": "XBT/USD"} in pairs.structured_content["pairs"]
    assert [result.is_error for result in results] == [False, False, False, True, True]
    assert "list_pairs" in not_served.content[0].text
    assert "HISTORY_URL" in past.content[0].text
