"""The service, which writes a long line to stdout and to stderr at each request, as a careless library would."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from wsgi import app

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

LINE = "x" * 1000

_quiet = app.wsgi_app


def chatter(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Past logging."""
    print(LINE)  # noqa: T201 - the point
    print(LINE, file=sys.stderr)  # noqa: T201
    return _quiet(environ, start_response)


app.wsgi_app = chatter  # type: ignore[method-assign]
