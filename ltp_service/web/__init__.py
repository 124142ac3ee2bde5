"""The routes: one blueprint per file."""

from flask import Flask, request

from ltp_service.request_note import note_of
from ltp_service.web import (
    auth,
    collectors,
    debug,
    docs,
    errors,
    explain,
    health,
    keys,
    ltp,
    pairs,
    preconditions,
    questions,
    status,
)


def register(app: Flask) -> None:
    """Puts every route and error handler onto the app."""
    for module in (ltp, explain, pairs, status, health, collectors, keys, debug, docs):
        app.register_blueprint(module.bp)
    errors.register(app)
    app.before_request(_note_route)
    auth.register(app)
    questions.register(app)
    preconditions.register(app)


def _note_route() -> None:
    if request.url_rule is not None:
        note_of(request.environ).route = request.url_rule.rule
