"""The application: what it leaves out of Flask is not there, and what is registered later is called."""

from inspect import iscoroutinefunction

from flask import request_tearing_down

from tests.service import FreshService


def test_no_view_is_a_coroutine_because_nothing_would_await_it(service: FreshService) -> None:
    assert not any(map(iscoroutinefunction, service.app.view_functions.values()))


def test_functions_that_are_registered_later_are_called_before_and_after_a_view(
    service: FreshService,
) -> None:
    called: list[str] = []
    service.app.before_request(lambda: called.append("before"))
    service.app.teardown_request(lambda _: called.append("request"))
    service.app.teardown_appcontext(lambda _: called.append("context"))
    service.get("/health")
    assert called == ["before", "request", "context"]

    service.app.teardown_request_funcs.clear()
    with request_tearing_down.connected_to(lambda *_, **__: called.append("signal")):
        service.get("/health")
    assert called[3:] == ["before", "signal", "context"]
