"""If-Match (RFC 9110, section 13.1.1): answers only if the client's ETag is still the present one."""

from flask import Flask, Response, request

from ltp_service.domain.errors import PreconditionFailed
from ltp_service.http.errors import answer_to
from ltp_service.http.questions import PROBES

_READS = ("GET", "HEAD", "OPTIONS")


def register(app: Flask) -> None:
    """Adds the check to every route but the probes."""
    app.before_request(_refuse_change)
    app.after_request(_compare)


def holds(if_match: str, tag: str | None) -> bool:
    """Whether `if_match` is `*`, or a list with the strong ETag `tag`.

    `tag` is None for an answer without one. A weak tag never matches.
    """
    if if_match.strip() == "*":
        return True
    return tag is not None and tag in [text.strip() for text in if_match.split(",")]


def _refuse_change() -> None:
    """Refuses a change before it is made: what can be changed has no ETag, so that only `*` matches."""
    wanted = _wanted()
    if wanted is not None and request.method not in _READS:
        _check(wanted, None)


def _compare(response: Response) -> Response:
    wanted = _wanted()
    if wanted is None or request.method not in _READS or not _would_be_given(response):
        return response
    try:
        _check(wanted, response.headers.get("ETag"))
    except PreconditionFailed as error:
        return answer_to(error)
    return response


def _wanted() -> str | None:
    rule = request.url_rule
    return None if rule is None or rule.rule in PROBES else request.headers.get("If-Match")


def _check(wanted: str, tag: str | None) -> None:
    if not holds(wanted, tag):
        raise PreconditionFailed(
            "no ETag in If-Match is that of the answer now; ask without If-Match for the new one"
        )


def _would_be_given(response: Response) -> bool:
    """Whether the response is a success or a 304. Errors are not compared."""
    return 200 <= response.status_code < 300 or response.status_code == 304
