"""The answer to a request that gunicorn cannot read: JSON in place of gunicorn's HTML."""

import secrets
from socket import socket

from ltp_service.http.errors import OUR_FAULT, encoded_error, headers_of
from ltp_service.http.headers import FOR_JSON

_MESSAGES = {
    414: "The request line is too long; ask for fewer pairs.",
    431: "The headers are too large or too many.",
    500: OUR_FAULT,
    501: "This transfer coding is not known here; send a Content-Length.",
}
_OTHERWISE = "This is not a valid HTTP request."

SEND_SECONDS = 1.0
"""Most seconds for sending it."""


def refuse(sock: socket, status_int: int, reason: str, mesg: str) -> None:
    """Replaces gunicorn.util.write_error, after which gunicorn closes the connection.

    `mesg` is left out, because it repeats what the client sent. Raises OSError.
    """
    request_id = secrets.token_hex(16)
    code = "INTERNAL_ERROR" if status_int == 500 else "INVALID_PARAMETER"
    content = encoded_error(code, _MESSAGES.get(status_int, _OTHERWISE), request_id)
    headers = [("Connection", "close"), *headers_of(content), ("X-Request-ID", request_id), *FOR_JSON]
    lines = [f"HTTP/1.1 {status_int} {reason}", *(f"{name}: {value}" for name, value in headers), "", ""]
    sock.settimeout(SEND_SECONDS)
    sock.sendall("\r\n".join(lines).encode() + content)
