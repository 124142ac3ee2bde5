"""Where a request finds the built parts."""

from typing import cast

from flask import Flask, current_app

from ltp_service.assembly.services import Services

_SLOT = "ltp_service"


def attach(app: Flask, parts: Services) -> None:
    """Makes the services reachable from the app."""
    app.extensions[_SLOT] = parts


def services_of(app: Flask) -> Services:
    """The services of an app."""
    return cast(Services, app.extensions[_SLOT])


def services() -> Services:
    """The services of the app that serves this request."""
    return services_of(current_app)
