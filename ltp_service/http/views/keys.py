"""Administers API keys over HTTP."""

from flask import Blueprint, Response, request
from msgspec import structs

from ltp_service.domain.errors import InvalidParameter
from ltp_service.http import shapes
from ltp_service.http.answers import json_response, rfc3339
from ltp_service.http.services import services
from ltp_service.keys.key import ApiKey, read_life

bp = Blueprint("keys", __name__, url_prefix="/auth/api-keys")


@bp.post("")
def create() -> Response:
    """Makes a key. Only this answer has its text."""
    parts = services()
    # The guard lets a request without a key pass only with the one-time token, while no key exists.
    first = "X-API-Key" not in request.headers
    permission = request.args.get("permission", "admin" if first else "read")
    if first and permission != "admin":
        raise InvalidParameter(
            "the first key must have admin permission, because only an admin key can make another one"
        )
    expires = request.args.get("expires")
    life = parts.config.auth_key_ttl if expires is None else _life(expires)
    text, key = parts.keyring.create(_name(), permission, life, only_first=first)
    if first:
        parts.first_key.done()
    return json_response(shapes.NewKey(text, **structs.asdict(_told(key, parts.clock.wall()))), 201)


@bp.get("")
def show() -> Response:
    """Every key ever made, oldest first, without its text."""
    parts = services()
    now = parts.clock.wall()
    return json_response(shapes.Keys([_told(key, now) for key in parts.keyring.list()]))


@bp.delete("/<prefix>")
def revoke(prefix: str) -> Response:
    """Revokes the key that begins with `prefix`."""
    parts = services()
    key = parts.keyring.revoke(prefix)
    return json_response(_told(key, parts.clock.wall()))


def _name() -> str:
    name = request.args.get("name", "").strip()
    if not name:
        raise InvalidParameter("name is missing: whom the key is for, for example name=grafana")
    return name


def _life(text: str) -> float:
    try:
        return read_life(text)
    except InvalidParameter as error:
        raise InvalidParameter(f"expires {error}") from None


def _told(key: ApiKey, now: float) -> shapes.Key:
    return shapes.Key(
        prefix=key.shown,
        name=key.name,
        permission=key.permission,
        state=key.state(now),
        created=rfc3339(key.created),
        expires=rfc3339(key.expires),
        revoked=rfc3339(key.revoked),
        last_used=rfc3339(key.last_used),
    )
