"""Flask, without its search for what this service does not have."""

from collections.abc import Callable
from typing import Any

from flask import Flask
from flask.globals import request_ctx

from ltp_service.http import auth, preconditions, questions
from ltp_service.http.request_note import note_of


class Application(Flask):
    """Calls one function before each view and none at the end of a request, and knows no coroutines.

    Flask looks for such functions in every blueprint, and asks of each function whether it is a coroutine. That takes a
    tenth of the time of a short answer, and finds nothing.
    """

    def preprocess_request(self) -> None:
        """What each request passes before its view: may its client ask, is it a question of this route, is it still meant?"""
        asked = request_ctx.request
        if asked.url_rule is not None:
            note_of(asked.environ).route = asked.url_rule.rule
        auth.guard(asked)
        questions.check(asked)
        preconditions.check(asked)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function as it is, for none is a coroutine."""
        return func

    def do_teardown_request(self, exc: BaseException | None = None) -> None:
        """Does nothing, because nothing is registered for the end of a request."""

    def do_teardown_appcontext(self, exc: BaseException | None = None) -> None:
        """Likewise."""
