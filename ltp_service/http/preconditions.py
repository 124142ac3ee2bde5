"""If-Match (RFC 9110, section 13.1.1): answers only if the client's ETag is still the present one."""

from functools import partial

from flask import Request, Response, after_this_request

from ltp_service.domain.errors import PreconditionFailed
from ltp_service.http.errors import answer_to
from ltp_service.http.problems import PROBLEMS
from ltp_service.http.questions import PROBES

_READS = ("GET", "HEAD", "OPTIONS")


def check(asked: Request) -> None:
    """Every route obeys it but the probes, which are asked nothing. Raises PreconditionFailed."""
    wanted = asked.environ.get("HTTP_IF_MATCH")
    if wanted is None or asked.url_rule is None or asked.url_rule.rule in PROBES:
        return
    if asked.method in _READS:
        after_this_request(partial(_compare, wanted))
    else:  # what can be changed has no ETag, so no list of them matches; and it must not be changed first
        _expect(wanted, None)


def holds(if_match: str, tag: str | None) -> bool:
    """Whether `if_match` is `*`, or a list with the strong ETag `tag`.

    `tag` is None for an answer without one. A weak tag never matches.
    """
    if if_match.strip() == "*":
        return True
    return tag is not None and tag in [text.strip() for text in if_match.split(",")]


def _compare(wanted: str, response: Response) -> Response:
    if not _would_be_given(response):
        return response
    try:
        _expect(wanted, response.headers.get("ETag"))
    except PreconditionFailed as error:
        return answer_to(error)
    return response


def _expect(wanted: str, tag: str | None) -> None:
    if not holds(wanted, tag):
        raise PreconditionFailed(PROBLEMS["PRECONDITION_FAILED"].example)


def _would_be_given(response: Response) -> bool:
    """Whether the response is a success or a 304. Errors are not compared."""
    return 200 <= response.status_code < 300 or response.status_code == 304
