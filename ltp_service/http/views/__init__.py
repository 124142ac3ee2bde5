"""The routes: one blueprint per file."""

from flask import Flask, request

from ltp_service.http import auth, errors, preconditions, questions
from ltp_service.http.request_note import note_of
from ltp_service.http.views import collectors, debug, docs, explain, health, keys, ltp, pairs, root, status


def register(app: Flask) -> None:
    """Puts every route and error handler onto the app."""
    for module in (ltp, explain, pairs, status, health, collectors, keys, debug, docs, root):
        app.register_blueprint(module.bp)
    errors.register(app)
    app.before_request(_note_route)
    auth.register(app)
    questions.register(app)
    preconditions.register(app)


def _note_route() -> None:
    if request.url_rule is not None:
        note_of(request.environ).route = request.url_rule.rule
