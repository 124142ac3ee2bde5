"""Which route is for whom, and the check of the key that a request brings."""

from typing import Literal

from flask import Flask, request

from ltp_service.client_address import client_address, is_direct_loopback, limit_key
from ltp_service.errors import KeyInvalid, KeyMissing, NotPermitted, RateLimited
from ltp_service.keys.key import Permission
from ltp_service.services import Services, services

Access = Literal["public", "open", "explain", "bootstrap", "write", "admin"]
"""public: always. open: everybody, or read keys when AUTH_ENABLED. explain: read keys, or this machine.
bootstrap: admin keys, or this machine while there is no key at all."""

ACCESS: dict[str, Access] = {
    "health.health": "public",
    "health.ready": "public",
    "prometheus_metrics": "public",
    "docs.openapi": "public",
    "docs.page": "public",
    "docs.file": "public",
    "ltp.ltp": "open",
    "ltp.cached": "open",
    "ltp.refresh": "write",
    "explain.explain": "explain",
    "pairs.pairs": "open",
    "status.status": "open",
    "collectors.status": "open",
    "collectors.one": "open",
    "collectors.trades": "open",
    "collectors.books": "open",
    "collectors.statistics": "open",
    "collectors.symbols": "open",
    "collectors.add": "write",
    "collectors.remove": "write",
    "keys.create": "bootstrap",
    "keys.show": "admin",
    "keys.revoke": "admin",
    "debug.tasks": "admin",
    "debug.storage": "admin",
}
"""Endpoint → who may use it. A route that is missing here keeps the service from starting."""

_NEEDED: dict[Access, Permission] = {
    "open": "read",
    "explain": "read",
    "bootstrap": "admin",
    "write": "write",
    "admin": "admin",
}
_PROXY_HEADERS = ("X-Forwarded-For", "X-Real-IP", "Forwarded", "Via")


def register(app: Flask) -> None:
    """Guards every route of the app. Raises RuntimeError for a route that nobody classified."""
    forgotten = {rule.endpoint for rule in app.url_map.iter_rules()} - ACCESS.keys() - {"static"}
    if forgotten:
        raise RuntimeError(f"web/auth.py does not say who may use {', '.join(sorted(forgotten))}")
    app.before_request(_guard)


def is_local() -> bool:
    """Whether the request comes from this machine without a proxy or a web page between."""
    headers = [request.headers.get(name) for name in (*_PROXY_HEADERS, "Origin")]
    return is_direct_loopback(request.remote_addr or "", *headers)


def _guard() -> None:
    access = ACCESS.get(request.endpoint or "", "public")
    parts = services()
    if access == "public" or (access == "open" and not parts.config.auth_enabled):
        return
    text = request.headers.get("X-API-Key")
    if text is not None:
        _check(parts, text, _NEEDED[access])
    elif not _needs_no_key(parts, access):
        raise KeyMissing(f"this route needs a key with {_NEEDED[access]} permission in the X-API-Key header")


def _needs_no_key(parts: Services, access: Access) -> bool:
    if access == "bootstrap":
        return is_local() and _is_without_keys(parts)
    return access == "explain" and is_local()


def _is_without_keys(parts: Services) -> bool:
    """Raises StoreUnavailable, with the cause, where nothing tells whether there are keys."""
    if not parts.keyring.known():
        parts.keyring.refresh()
    return parts.keyring.empty()


def _check(parts: Services, text: str, needed: Permission) -> None:
    forwarded_for = request.headers.get("X-Forwarded-For")
    address = limit_key(
        client_address(request.remote_addr or "", forwarded_for, parts.config.trusted_proxies)
    )
    try:
        key = parts.keyring.check(text)
    except KeyInvalid:
        # Only a wrong key is held against its address: others behind the same address may have right ones.
        if (wait := parts.key_failures.check(address)) is not None:
            parts.observer.key_checked("blocked")
            raise RateLimited(
                "too many wrong API keys from this address; wait before the next one", wait
            ) from None
        parts.key_failures.failed(address)
        parts.observer.key_checked("invalid")
        raise
    if not key.permits(needed):
        parts.observer.key_checked("not_permitted")
        raise NotPermitted(f"this route needs {needed} permission; the key has {key.permission}")
    parts.observer.key_checked("accepted")
