"""ltp_service.http.mcp.revisions"""

from base64 import b64encode
from typing import Any

import pytest
from werkzeug.datastructures import Headers

from ltp_service.http.mcp.messages import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    UNSUPPORTED_PROTOCOL_VERSION,
    Refusal,
    Request,
)
from ltp_service.http.mcp.revisions import STATELESS, SUPPORTED, is_stateless

META = {
    "io.modelcontextprotocol/protocolVersion": STATELESS,
    "io.modelcontextprotocol/clientCapabilities": {},
}
HEADERS = {"MCP-Protocol-Version": STATELESS, "Mcp-Method": "tools/call", "Mcp-Name": "get_price"}


def asked(
    meta: Any = META, headers: dict[str, str] | None = None, name: str = "get_price"
) -> tuple[Request, Headers]:
    request = Request(1, "tools/call", {"name": name, "_meta": meta})
    return request, Headers(HEADERS if headers is None else headers)


def code(request: Request, headers: Headers) -> int:
    with pytest.raises(Refusal) as refused:
        is_stateless(request, headers)
    return refused.value.code


def without(whole: dict[str, Any], name: str) -> dict[str, Any]:
    return {each: value for each, value in whole.items() if each != name}


def test_a_request_that_says_all_of_itself_needs_no_session() -> None:
    assert is_stateless(*asked())


def test_the_names_of_headers_have_no_case() -> None:
    assert is_stateless(*asked(headers={name.lower(): value for name, value in HEADERS.items()}))


@pytest.mark.parametrize("version", [None, "2025-06-18", "2025-11-25"])
def test_without_a_version_in_the_body_it_belongs_to_a_handshake(version: str | None) -> None:
    headers = {} if version is None else {"MCP-Protocol-Version": version}

    assert not is_stateless(*asked({}, headers))
    assert not is_stateless(Request(1, "ping", {}), Headers(headers))


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_is_missing_or_says_otherwise_is_a_mismatch(name: str) -> None:
    assert code(*asked(headers=without(HEADERS, name))) == HEADER_MISMATCH
    # As when a header comes twice: servers join both values.
    assert code(*asked(headers=HEADERS | {name: f"{HEADERS[name]},{HEADERS[name]}"})) == HEADER_MISMATCH
    assert code(*asked(headers=HEADERS | {name: HEADERS[name].upper() + "X"})) == HEADER_MISMATCH


def test_only_a_call_needs_the_header_with_a_name() -> None:
    request = Request(1, "tools/list", {"_meta": META})

    assert is_stateless(request, Headers(without(HEADERS, "Mcp-Name") | {"Mcp-Method": "tools/list"}))


@pytest.mark.parametrize("name", ["prix €", " get_price", "=?base64?eA==?="])
def test_a_name_that_no_header_can_hold_comes_in_base64(name: str) -> None:
    header = f"=?base64?{b64encode(name.encode()).decode()}?="

    assert is_stateless(*asked(headers=HEADERS | {"Mcp-Name": header}, name=name))


@pytest.mark.parametrize("header", ["=?base64?%%%?=", "=?base64?/w==?=", "prix \xe9"])
def test_a_name_that_cannot_be_read_is_a_mismatch(header: str) -> None:
    assert code(*asked(headers=HEADERS | {"Mcp-Name": header}, name=header)) == HEADER_MISMATCH


@pytest.mark.parametrize("name", META)
@pytest.mark.parametrize("value", ["absent", 1, None])
def test_what_every_request_has_to_say_is_asked_for_by_name(name: str, value: Any) -> None:
    meta = without(META, name) if value == "absent" else META | {name: value}

    assert code(*asked(meta)) == INVALID_PARAMS


@pytest.mark.parametrize("meta", [None, 1, [META]])
def test_a_meta_that_is_no_object_is_refused(meta: Any) -> None:
    assert code(*asked(meta)) == INVALID_PARAMS


@pytest.mark.parametrize("version", ["1900-01-01", "2025-03-26", ""])
def test_another_version_is_refused_with_those_that_are_spoken(version: str) -> None:
    meta = META | {"io.modelcontextprotocol/protocolVersion": version}
    for request, headers in (
        asked(meta, HEADERS | {"MCP-Protocol-Version": version}),
        asked({}, {"MCP-Protocol-Version": version}),
    ):
        with pytest.raises(Refusal) as refused:
            is_stateless(request, headers)
        assert refused.value.code == UNSUPPORTED_PROTOCOL_VERSION
        assert refused.value.data == {"supported": SUPPORTED, "requested": version}
