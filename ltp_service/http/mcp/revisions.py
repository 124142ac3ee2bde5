"""Which revision of the protocol a request speaks, and whether its headers say the same as its body. Pure.

Since 2026-07-28 there is no session: each request carries its revision and its client's capabilities in `params._meta`, and
repeats some of the body in headers (modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http,
"Request Metadata"). Earlier revisions begin with `initialize`; the session that may follow is optional, and there is none
here.
"""

import binascii
import re
from base64 import b64decode
from typing import Any

from werkzeug.datastructures import Headers

from ltp_service.http.mcp.messages import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    UNSUPPORTED_PROTOCOL_VERSION,
    Refusal,
    Request,
)

STATELESS = "2026-07-28"
HANDSHAKES = ("2025-11-25", "2025-06-18")
"""Revisions that begin with `initialize`, newest first. The one before, 2025-03-26, has batches."""

SUPPORTED = (STATELESS, *HANDSHAKES)

VERSION_HEADER, METHOD_HEADER, NAME_HEADER = "MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"

_VERSION = "io.modelcontextprotocol/protocolVersion"
_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
SERVER_INFO = "io.modelcontextprotocol/serverInfo"

_IN_BASE64 = re.compile(r"=\?base64\?(.*)\?=")
"""How a client writes a name that no header can hold ("Value Encoding")."""


def is_stateless(request: Request, headers: Headers) -> bool:
    """Whether the request is one of 2026-07-28, whose headers and `_meta` are then as that revision needs them; else it
    belongs to a handshake. Raises Refusal."""
    meta, header = request.params.get("_meta", {}), headers.get(VERSION_HEADER)
    if not isinstance(meta, dict):
        raise Refusal(INVALID_PARAMS, "params._meta is not a JSON object")
    if _VERSION not in meta and header != STATELESS:
        check_version(header)
        return False
    _check_meta(meta)
    _check_headers(request, meta[_VERSION], headers)
    if meta[_VERSION] != STATELESS:
        raise _unsupported(meta[_VERSION])
    return True


def check_version(header: str | None) -> None:
    """Raises Refusal for a version in the header that is not spoken here. Programs by hand may leave it out."""
    if header is not None and header not in SUPPORTED:
        raise _unsupported(header)


def _check_meta(meta: dict[str, Any]) -> None:
    if not isinstance(meta.get(_VERSION), str):
        raise Refusal(INVALID_PARAMS, f"params._meta needs {_VERSION!r}, for example {STATELESS!r}")
    if not isinstance(meta.get(_CAPABILITIES), dict):
        raise Refusal(INVALID_PARAMS, f"params._meta needs {_CAPABILITIES!r}, at least {{}}")


def _check_headers(request: Request, version: str, headers: Headers) -> None:
    _check_header(VERSION_HEADER, headers.get(VERSION_HEADER), version)
    _check_header(METHOD_HEADER, headers.get(METHOD_HEADER), request.method)
    name = request.params.get("name")
    if request.method == "tools/call" and isinstance(name, str):
        _check_header(NAME_HEADER, _decoded(headers.get(NAME_HEADER)), name)


def _check_header(name: str, given: str | None, meant: str) -> None:
    if given is None:
        raise Refusal(HEADER_MISMATCH, f"the header {name} is missing, or cannot be read")
    if given != meant:
        raise Refusal(HEADER_MISMATCH, f"the header {name} differs from the body")


def _decoded(header: str | None) -> str | None:
    """The name that the header means; None for none, and for one that cannot be read."""
    if header is None or not header.isascii():
        return None
    found = _IN_BASE64.fullmatch(header)
    if found is None:
        return header
    try:
        return b64decode(found[1], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def _unsupported(requested: str) -> Refusal:
    data = {"supported": SUPPORTED, "requested": requested}
    return Refusal(UNSUPPORTED_PROTOCOL_VERSION, "Unsupported protocol version", data)
