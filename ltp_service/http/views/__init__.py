"""The routes: one blueprint per file."""

from flask import Flask

from ltp_service.http import auth, errors
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
