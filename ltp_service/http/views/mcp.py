"""The one route of the Model Context Protocol."""

from functools import partial

from flask import Blueprint, Response, request

from ltp_service.domain.errors import InvalidParameter
from ltp_service.http.answers import raw_response
from ltp_service.http.body import BodyTooLarge, read_body
from ltp_service.http.headers import is_trusted_page
from ltp_service.http.mcp.messages import INVALID_REQUEST, PARSE_ERROR, Refusal
from ltp_service.http.mcp.protocol import Answer, Tools, answer_message, answer_refusal
from ltp_service.http.services import services
from ltp_service.http.views.mcp_tools import call_tool, listed_tools

bp = Blueprint("mcp", __name__)


@bp.post("/mcp")
def message() -> Response:
    """The answer to one message of an agent."""
    answer = _answer()
    response = raw_response(answer.content, answer.status)
    if not answer.content:
        del response.headers["Content-Type"]
    return response


def _answer() -> Answer:
    parts, origin = services(), request.headers.get("Origin")
    if origin is not None and not is_trusted_page(origin, request.host, parts.config.cors_origins):
        about = "pages of this Origin may not use /mcp; CORS_ORIGINS names those that may"
        return answer_refusal(403, Refusal(INVALID_REQUEST, about))
    if request.mimetype != "application/json":
        about = "the Content-Type of the body is not application/json"
        return answer_refusal(415, Refusal(INVALID_REQUEST, about))
    try:
        content = read_body(request)
    except BodyTooLarge as error:
        return answer_refusal(413, Refusal(INVALID_REQUEST, str(error)))
    except InvalidParameter as error:
        return answer_refusal(400, Refusal(PARSE_ERROR, str(error)))
    tools = Tools(listed_tools(), partial(call_tool, parts))
    return answer_message(content, request.headers, tools)
