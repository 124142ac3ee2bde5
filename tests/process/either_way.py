"""The service, which to a request with `X-Standard-Way` answers as to a server that it does not know.

So both ways can be compared on one process with one set of prices. `GET /sent` counts the other answers that had left
when the application returned."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from wsgi import app

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

_edge = app.wsgi_app
_sent: list[bool] = []


def either_way(environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
    if "HTTP_X_STANDARD_WAY" in environ:
        return _edge(
            environ, lambda status, headers, exc_info=None: start_response(status, headers, exc_info)
        )
    content = _edge(environ, start_response)
    if environ["PATH_INFO"] != "/sent":
        _sent.append(start_response.__self__.headers_sent)  # type: ignore[attr-defined]
    return content


@app.get("/sent")
def sent() -> dict[str, int]:
    return {"answers": sum(_sent)}


app.wsgi_app = either_way  # type: ignore[method-assign]
