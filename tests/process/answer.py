"""One HTTP answer, and how to ask for it."""

import http.client
import json
from collections.abc import Mapping
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body; numbers stay the texts that were sent, so that every digit can be compared."""
        return json.loads(self.body, parse_float=str, parse_int=str)


def ask(
    connection: http.client.HTTPConnection,
    path: str,
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
) -> Answer:
    """GETs the path, or does something else to it. Raises OSError or http.client.HTTPException when no whole answer comes."""
    connection.request(method, path, headers=dict(headers or {}))
    response = connection.getresponse()
    body = response.read()
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)
