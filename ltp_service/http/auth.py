"""Which key each route needs, and the check of a request's key."""

from typing import Literal

from flask import Flask, request

from ltp_service.assembly.services import Services, services
from ltp_service.domain.errors import KeyInvalid, KeyMissing, NotPermitted, RateLimited
from ltp_service.http.client_address import client_address, is_direct_loopback, limit_key
from ltp_service.keys.first_key import BOOTSTRAP_HEADER
from ltp_service.keys.key import Permission

Access = Literal["public", "open", "explain", "bootstrap", "write", "admin"]
"""public: no key. open: no key, or a read key with AUTH_ENABLED. explain: a read key, or a request from this machine.
bootstrap: an admin key, or while there is no key, a request from this machine with the one-time token."""

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
"""The access of each endpoint. The service does not start with a route that is missing here."""

_NEEDED: dict[Access, Permission] = {
    "open": "read",
    "explain": "read",
    "bootstrap": "admin",
    "write": "write",
    "admin": "admin",
}


def register(app: Flask) -> None:
    """Guards every route of the app. Raises RuntimeError for a route that ACCESS leaves out."""
    forgotten = {rule.endpoint for rule in app.url_map.iter_rules()} - ACCESS.keys() - {"static"}
    if forgotten:
        raise RuntimeError(
            f"http/auth.py does not say which key is needed for {', '.join(sorted(forgotten))}"
        )
    app.before_request(_guard)


def is_local() -> bool:
    """Whether the request seems to come from this machine, without a proxy or a web page in between."""
    # By default nginx speaks HTTP/1.0 to its upstream (nginx, proxy_http_version); the owner's programs do not.
    modern = request.environ.get("SERVER_PROTOCOL") != "HTTP/1.0"
    return modern and is_direct_loopback(
        request.remote_addr or "", request.headers.get("Host"), request.headers.keys()
    )


def _guard() -> None:
    access = ACCESS.get(request.endpoint or "", "public")
    parts = services()
    if access == "public" or (access == "open" and not parts.config.auth_enabled):
        return
    text = request.headers.get("X-API-Key")
    if text is not None:
        _check(parts, text, _NEEDED[access])
    elif access == "bootstrap" and is_local() and _is_without_keys(parts):
        _check_token(parts)
    elif not (access == "explain" and _may_be_explained_to(parts)):
        raise KeyMissing(f"this route needs a key with {_NEEDED[access]} permission in the X-API-Key header")


def _may_be_explained_to(parts: Services) -> bool:
    # Where a proxy is configured, a peer on this machine is that proxy, also without its header.
    return parts.config.trusted_proxies == 0 and is_local()


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
        parts.observer.key_checked("not_permitted")
        raise NotPermitted(f"this route needs {needed} permission; the key has {key.permission}")
    parts.observer.key_checked("accepted")


def _count_guess(parts: Services) -> None:
    """Counts a wrong key by its address. Raises RateLimited after too many.

    Valid keys from the same address are never blocked, because many clients may share it.
    """
    forwarded_for = request.headers.get("X-Forwarded-For")
    address = limit_key(
        client_address(request.remote_addr or "", forwarded_for, parts.config.trusted_proxies)
    )
    if (wait := parts.key_failures.check(address)) is not None:
        parts.observer.key_checked("blocked")
        raise RateLimited(
            "too many wrong API keys from this address; wait before the next one", wait
        ) from None
    parts.key_failures.failed(address)
    parts.observer.key_checked("invalid")
