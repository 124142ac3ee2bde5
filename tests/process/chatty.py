"""The service, which writes a long line to stdout and to stderr at each request, as a careless library would."""

import sys

from wsgi import app

LINE = "x" * 1000


@app.before_request
def chatter() -> None:
    """Past logging."""
    print(LINE)  # noqa: T201 - the point
    print(LINE, file=sys.stderr)  # noqa: T201
