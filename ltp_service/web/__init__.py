"""The routes: one blueprint per file."""

from flask import Flask

from ltp_service.web import errors, explain, health, ltp, pairs, status


def register(app: Flask) -> None:
    """Puts every route and error handler onto the app."""
    for module in (ltp, explain, pairs, status, health):
        app.register_blueprint(module.bp)
    errors.register(app)
