"""The least that a WSGI server and Flask can be asked for."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

BODY = b"Hello, World!"

flask_hello = Flask(__name__)


@flask_hello.get("/")
@flask_hello.get("/health")
def hello() -> str:
    """What the Flask documentation begins with."""
    return BODY.decode()


def wsgi_hello(environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
    """What PEP 3333 begins with."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))])
    return [BODY]
