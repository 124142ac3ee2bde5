"""The routes: one blueprint per file."""

from flask import Flask
from flask.globals import request_ctx

from ltp_service.http import auth, errors, preconditions, questions
from ltp_service.http.request_note import note_of
from ltp_service.http.views import (
    collectors,
    debug,
    docs,
    explain,
    health,
    history,
    keys,
    ltp,
    mcp,
    pairs,
    root,
    status,
    stream,
)


def register(app: Flask) -> None:
    """Puts every route and error handler onto the app."""
    for module in (
        ltp,
        explain,
        history,
        pairs,
        mcp,
        status,
        health,
        collectors,
        stream,
        keys,
        debug,
        docs,
        root,
    ):
        app.register_blueprint(module.bp)
    errors.register(app)
    auth.refuse_unclassified(app)
    app.before_request(_admit)


def _admit() -> None:
    """What each request passes before its view: may its client ask, is it a question of this route, is it still meant?

    One function, because Flask takes 2 µs for each that it calls.
    """
    asked = request_ctx.request
    if asked.url_rule is not None:
        note_of(asked.environ).route = asked.url_rule.rule
    auth.guard(asked)
    questions.check(asked)
    preconditions.check(asked)
