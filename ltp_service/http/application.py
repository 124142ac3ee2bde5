"""Flask, without its search for what this service does not have."""

from collections.abc import Callable
from typing import Any

from flask import Flask
from flask.globals import request_ctx
from flask.signals import appcontext_tearing_down, request_tearing_down
from flask.typing import ResponseReturnValue

from ltp_service.http import auth, preconditions, questions
from ltp_service.http.request_note import note_of


class Application(Flask):
    """Admits each request itself, and calls no views that are coroutines.

    Flask looks for functions to call in every blueprint, and asks of each function whether it is a coroutine. That takes a
    tenth of the time of a short answer, so it is left out where nothing is registered.
    """

    def preprocess_request(self) -> ResponseReturnValue | None:
        """What each request passes before its view: may its client ask, is it a question of this route, is it still meant?"""
        asked = request_ctx.request
        if asked.url_rule is not None:
            note_of(asked.environ).route = asked.url_rule.rule
        auth.guard(asked)
        questions.check(asked)
        preconditions.check(asked)
        if self.before_request_funcs or self.url_value_preprocessors:
            return super().preprocess_request()
        return None

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function as it is, for none is a coroutine."""
        return func

    def do_teardown_request(self, exc: BaseException | None = None) -> None:
        if self.teardown_request_funcs or request_tearing_down.receivers:
            super().do_teardown_request(exc)

    def do_teardown_appcontext(self, exc: BaseException | None = None) -> None:
        if self.teardown_appcontext_funcs or appcontext_tearing_down.receivers:
            super().do_teardown_appcontext(exc)
