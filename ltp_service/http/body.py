"""Reads the body of a request. The OpenAPI document says which routes read one; no other does."""

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge

from ltp_service.domain.errors import InvalidParameter
from ltp_service.http.shapes import MAX_BODY_BYTES


class BodyTooLarge(InvalidParameter):
    """The body has more than MAX_BODY_BYTES."""


def has_body(request: Request) -> bool:
    """Whether a body comes with the request, however long it is."""
    return bool(request.content_length) or "Transfer-Encoding" in request.headers


def read_body(request: Request) -> bytes:
    """The whole body. Raises BodyTooLarge, and InvalidParameter for a body that breaks off."""
    # One more than is read, because werkzeug also refuses chunks that end just at its limit.
    request.max_content_length = MAX_BODY_BYTES + 1
    try:
        content = request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise _too_large() from None
    except Exception as error:  # each server has errors of its own for a body that breaks off
        raise InvalidParameter("the body cannot be read to its end") from error
    if len(content) > MAX_BODY_BYTES:
        raise _too_large()
    return content


def _too_large() -> BodyTooLarge:
    return BodyTooLarge(f"the body has more than {MAX_BODY_BYTES} bytes; ask for less at once")
