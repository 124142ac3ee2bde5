"""The application: it calls no hooks but its own, so none may be registered, and no view may be a coroutine."""

from inspect import iscoroutinefunction

from flask import Flask

from tests.service import FreshService


def hooks(app: Flask) -> list[object]:
    """What Flask itself would call, and this application does not."""
    by_owner = (
        app.url_value_preprocessors,
        app.before_request_funcs,
        app.teardown_request_funcs,
    )
    registered = [each for owners in by_owner for some in owners.values() for each in some]
    return [*registered, *app.teardown_appcontext_funcs]


def test_no_hook_is_registered_that_would_never_be_called(service: FreshService) -> None:
    assert hooks(service.app) == []


def test_no_view_is_a_coroutine_because_nothing_would_await_it(service: FreshService) -> None:
    assert not any(map(iscoroutinefunction, service.app.view_functions.values()))
