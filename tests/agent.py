"""An agent that asks the service by the Model Context Protocol, with nothing but HTTP."""

from typing import Any

from werkzeug.test import TestResponse

from ltp_service.http.mcp.revisions import STATELESS
from tests.service import FreshService

META = {
    "io.modelcontextprotocol/protocolVersion": STATELESS,
    "io.modelcontextprotocol/clientCapabilities": {},
}


def send(
    service: FreshService, method: str, headers: dict[str, str] | None = None, **params: Any
) -> TestResponse:
    """The answer to a request of the stateless revision. Both headers and params may add to what it needs."""
    mirrored = {"MCP-Protocol-Version": STATELESS, "Mcp-Method": method, "Mcp-Name": params.get("name", "")}
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"_meta": META, **params}}
    return service.client.post("/mcp", json=body, headers={**mirrored, **(headers or {})})


def call(
    service: FreshService, tool: str, headers: dict[str, str] | None = None, **arguments: Any
) -> dict[str, Any]:
    """The result of a tool."""
    answer = send(service, "tools/call", headers, name=tool, arguments=arguments)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    result: dict[str, Any] = answer.get_json()["result"]
    return result


def text_of(result: dict[str, Any]) -> str:
    """What an agent reads that knows no structured content."""
    ((block),) = result["content"]
    assert block["type"] == "text"
    text: str = block["text"]
    return text
