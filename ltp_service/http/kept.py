"""Answers that a browser may keep: files and documents that change with a release at most."""

from functools import cache
from pathlib import Path

from flask import Response, request

from ltp_service.http.answers import raw_response
from ltp_service.http.fast_lane import etag, matches

MINUTES = "public, max-age=300"
"""For files that change with a release of this service."""
DAY = "public, max-age=86400"
"""For what hardly ever changes."""


def kept(content: bytes, content_type: str, cache_control: str) -> Response:
    """The content with its ETag, or 304."""
    tag = _tag(content)
    headers = {"ETag": tag, "Cache-Control": cache_control, "Content-Type": content_type}
    if matches(request.headers.get("If-None-Match"), tag):
        return raw_response(b"", 304, headers)
    return raw_response(content, headers=headers)


@cache
def file(path: Path) -> bytes:
    """The content of a file of this package, read once."""
    return path.read_bytes()


_tag = cache(etag)
