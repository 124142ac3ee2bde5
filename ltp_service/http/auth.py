"""Which key each route needs, and the check of a request's key."""

from typing import Literal

from flask import Flask, Request, request

from ltp_service.assembly.services import Services
from ltp_service.domain.errors import KeyInvalid, KeyMissing, NotPermitted, RateLimited
from ltp_service.http.client_address import client_address, is_direct_loopback, limit_key
from ltp_service.http.request_note import note_of
from ltp_service.http.services import services
from ltp_service.keys.first_key import BOOTSTRAP_HEADER
from ltp_service.keys.key import Permission
from ltp_service.meters import KEYS_CHECKED

Access = Literal["public", "open", "explain", "refresh", "bootstrap", "write", "admin"]
"""public: always. open: all, or read keys when AUTH_ENABLED. explain: read keys, or this machine.
refresh: write keys, or a program on this machine that is no browser.
bootstrap: admin keys, or this machine with the one-time token while there is no key at all."""

_ENDPOINTS: dict[Access, str] = {
    "public": "health.health health.ready prometheus_metrics root.root root.page_file root.client root.client_types"
    " docs.openapi docs.favicon docs.page docs.page_file docs.swagger docs.swagger_file",
    "open": "ltp.ltp ltp.cached pairs.pairs status.status collectors.status collectors.one collectors.trades"
    " collectors.books collectors.statistics collectors.symbols stream.market stream.exchanges"
    " stream.ticket history.at history.candles history.trades mcp.message",
    "explain": "explain.explain",
    "refresh": "ltp.refresh",
    "bootstrap": "keys.create",
    "write": "collectors.add collectors.remove",
    "admin": "keys.show keys.revoke debug.tasks debug.storage",
}

_TAKE_TICKETS = {"stream.market", "stream.exchanges"}
"""Routes on which a ticket stands for a key."""

ACCESS = {endpoint: access for access, endpoints in _ENDPOINTS.items() for endpoint in endpoints.split()}
"""The access of each endpoint. The service does not start with a route that is missing here."""

_NEEDED: dict[Access, Permission] = {
    "open": "read",
    "explain": "read",
    "refresh": "write",
    "bootstrap": "admin",
    "write": "write",
    "admin": "admin",
}


def refuse_unclassified(app: Flask) -> None:
    """Raises RuntimeError for a route that ACCESS does not name."""
    forgotten = {rule.endpoint for rule in app.url_map.iter_rules()} - ACCESS.keys() - {"static"}
    if forgotten:
        raise RuntimeError(f"http/auth.py does not say who may use {', '.join(sorted(forgotten))}")


def is_local() -> bool:
    """Whether the request seems to come from this machine, without a proxy or a web page in between."""
    # nginx before 1.29.7 speaks HTTP/1.0 to its upstream unless it is told otherwise (nginx, proxy_http_version); the
    # owner's programs do not. A later one looks like them, so behind it TRUSTED_PROXIES has to be set.
    modern = request.environ.get("SERVER_PROTOCOL") != "HTTP/1.0"
    return modern and is_direct_loopback(
        request.remote_addr or "", request.headers.get("Host"), request.headers.keys()
    )


def guard(asked: Request) -> None:
    """Raises KeyMissing, KeyInvalid or what else keeps the client from this route."""
    admit(ACCESS.get(asked.endpoint or "", "public"))


def admit(access: Access) -> None:
    """Raises KeyMissing, KeyInvalid or what else keeps the client of this request from what has that access."""
    parts = services()
    if access == "public" or (access == "open" and not parts.config.auth_enabled):
        return
    text = request.headers.get("X-API-Key")
    takes_tickets = request.endpoint in _TAKE_TICKETS
    if text is not None:
        _check(parts, text, _NEEDED[access])
    elif takes_tickets and (ticket := request.args.get("ticket")) is not None:
        _take(parts, ticket)
    elif access == "bootstrap" and is_local() and _is_without_keys(parts):
        _check_token(parts)
    elif not _needs_no_key(parts, access):
        other_way = _ASK_HERE if access == "refresh" else ""
        if takes_tickets:
            other_way = ", or a ticket from POST /api/v1/stream/tickets in ticket="
        raise KeyMissing(
            f"this route needs a key with {_NEEDED[access]} permission in the X-API-Key header{other_way}"
        )


_ASK_HERE = (
    "; without a key it answers only a program on this machine that asks localhost, without a proxy between and while"
    " TRUSTED_PROXIES is 0"
)


def _needs_no_key(parts: Services, access: Access) -> bool:
    """Whether a request from this machine may use the route without a key."""
    # Where a proxy is configured, a peer on this machine is that proxy, whether it adds its header or not.
    if parts.config.trusted_proxies or not is_local():
        return False
    return access == "explain" or (access == "refresh" and not _is_from_a_page())


def _is_from_a_page() -> bool:
    """Whether a browser made the request for a page.

    Browsers say so in Sec-Fetch-Site, also where they send no Origin; `none` stands for what the user typed
    (www.w3.org/TR/fetch-metadata). A page can send a form to localhost without asking first, so Origin and the Host
    alone do not guard a request that changes something.
    """
    return request.headers.get("Sec-Fetch-Site", "none").strip().lower() != "none"


def _is_without_keys(parts: Services) -> bool:
    """Whether no key was ever made. Raises StoreUnavailable when that is not known."""
    if not parts.keyring.known():
        parts.keyring.refresh()
    return parts.keyring.empty()


def _check_token(parts: Services) -> None:
    text = request.headers.get(BOOTSTRAP_HEADER)
    if text is None:
        parts.first_key.offer(int(request.environ["SERVER_PORT"]))
        raise KeyMissing(
            f"no API key exists yet: send {BOOTSTRAP_HEADER} with the one-time token, which the log tells and the file beside"
            " the database has that ends in -first-key, or run: python -m ltp_service keys create --name ops"
            " --permission admin"
        )
    if not parts.first_key.is_token(text):
        _count_guess(parts)
        raise KeyInvalid(
            f"{BOOTSTRAP_HEADER} is not the one-time token; that is in the file beside the database that ends in -first-key"
        )


def _check(parts: Services, text: str, needed: Permission) -> None:
    try:
        key = parts.keyring.check(text)
    except KeyInvalid:
        _count_guess(parts)
        raise
    if not key.permits(needed):
        parts.meters.count(KEYS_CHECKED, "not_permitted")
        raise NotPermitted(f"this route needs {needed} permission; the key has {key.permission}")
    note_of(request.environ).key_hash = key.hash
    parts.meters.count(KEYS_CHECKED, "accepted")


def _take(parts: Services, ticket: str) -> None:
    try:
        note_of(request.environ).key_hash = parts.tickets.take(ticket)
    except KeyInvalid:
        _count_guess(parts)
        raise
    parts.meters.count(KEYS_CHECKED, "accepted")


def _count_guess(parts: Services) -> None:
    """Counts a wrong key by its address. Raises RateLimited after too many.

    Valid keys from the same address are never blocked, because many clients may share it.
    """
    forwarded_for = request.headers.get("X-Forwarded-For")
    address = limit_key(
        client_address(request.remote_addr or "", forwarded_for, parts.config.trusted_proxies)
    )
    if (wait := parts.key_failures.check(address)) is not None:
        parts.meters.count(KEYS_CHECKED, "blocked")
        raise RateLimited(
            "too many wrong API keys from this address; wait before the next one", wait
        ) from None
    parts.key_failures.failed(address)
    parts.meters.count(KEYS_CHECKED, "invalid")
